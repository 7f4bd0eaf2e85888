"""The step that registers the fixtures' rows for everybody in the scope of everybody."""

from collections.abc import Sequence
from dataclasses import dataclass

from backendai_ctl.seed.data import Shared
from backendai_ctl.seed.model import Finding, State
from backendai_ctl.seed.session import SeededDatabase

# The tables of scopes and their members, in releases that have such scopes.
_GRAPH = ("global_entities", "virtual_entities", "entity_memberships", "scope_bindings")
# The scope, and the rows that become its members; $1 names the scope, $2 the type.
_PAIRS = """
WITH scope AS (
    SELECT node.id
      FROM virtual_entities node JOIN global_entities named ON named.id = node.entity_id
     WHERE node.entity_type = 'global' AND named.name = $1
), member AS (
    SELECT node.id
      FROM virtual_entities node JOIN {table} listed ON listed.{key} = node.entity_id
     WHERE node.entity_type = $2 AND {condition}
)
"""
_ANY_LACKS = """
SELECT EXISTS (SELECT FROM scope, member
 WHERE NOT EXISTS (SELECT FROM entity_memberships edge
                    WHERE edge.virtual_entity_id = scope.id AND edge.member_entity_id = member.id)
    OR NOT EXISTS (SELECT FROM scope_bindings edge
                    WHERE edge.scope_entity_id = scope.id AND edge.virtual_entity_id = member.id))
"""
_REGISTER = (
    """
INSERT INTO entity_memberships (virtual_entity_id, member_entity_id, capped)
SELECT scope.id, member.id, false FROM scope, member ON CONFLICT DO NOTHING
""",
    """
INSERT INTO scope_bindings (scope_entity_id, virtual_entity_id)
SELECT scope.id, member.id FROM scope, member ON CONFLICT DO NOTHING
""",
)


@dataclass(frozen=True, kw_only=True)
class SharedStep:
    """The rows of each table, registered in one scope; once for each table, never changed.

    A mark says that a table is done, whoever did it: a row that is removed from the scope
    later stays removed.
    """

    database: SeededDatabase
    shared: Shared

    @property
    def name(self) -> str:
        """The name in the plan."""
        return f"scope {self.shared.scope}"

    def inspect(self) -> Finding:
        """List the tables that are not done."""
        if not self._has_graph():
            return Finding(state=State.EXISTS, detail="not in this release")
        new = self._new()
        lacking = [table for table in new if self._lacks(table)]
        if new:
            return Finding(
                state=State.CREATE, detail=", ".join(lacking) or "there already: only a mark"
            )
        return Finding(state=State.EXISTS, detail=f"{len(self.shared.tables)} tables")

    def apply(self) -> None:
        """Register the rows of each table and set its mark in one transaction."""
        marks, version = self.database.marks, self.database.version
        for table in self._new():
            arguments = self._arguments(table)
            self.database.connection.execute(
                *marks.prepared(shared_mark(table), version),
                *((self._pairs(table) + statement, arguments) for statement in _REGISTER),
            )

    def _new(self) -> list[str]:
        database, marks = self.database.connection, self.database.marks
        return [
            table
            for table in self.shared.tables
            if marks.get(shared_mark(table)) is None and database.has_table(table)
        ]

    def _lacks(self, table: str) -> bool:
        statement = self._pairs(table) + _ANY_LACKS
        return bool(self.database.connection.value(statement, *self._arguments(table)))

    def _has_graph(self) -> bool:
        database = self.database.connection
        if not all(database.has_table(table) for table in _GRAPH):
            return False
        ask = "SELECT EXISTS (SELECT FROM global_entities WHERE name = $1)"
        return bool(database.value(ask, self.shared.scope))

    def _pairs(self, table: str) -> str:
        listed = self.shared.tables[table]
        # Names and the condition come from the shipped data, never from an admin.
        return _PAIRS.format(table=table, key=listed.key, condition=listed.condition)

    def _arguments(self, table: str) -> Sequence[object]:
        return (self.shared.scope, self.shared.tables[table].type)


def shared_mark(table: str) -> str:
    """Return the mark that says that the rows of a table were registered."""
    return f"shared/{table}"
