"""The step that creates the schema of an empty database, and never changes an existing one."""

from dataclasses import dataclass

from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.seed.model import Finding, State
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.stores.schema_state import Schema, SchemaState, has_schema, revisions_of

_MARK = "schema"
_MAKING = "making"
_COUNT = """
SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
"""
# The release creates its tables in one transaction and their version in another.
_CLEAR = """
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT format('DROP TABLE IF EXISTS %s CASCADE', c.oid::regclass) AS statement
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
        UNION ALL
        SELECT format('DROP TYPE IF EXISTS %s CASCADE', t.oid::regtype)
          FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE n.nspname = 'public' AND t.typtype = 'e'
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e')
    LOOP
        EXECUTE one.statement;
    END LOOP;
END
$$
"""


@dataclass(frozen=True, kw_only=True)
class SchemaStep:
    """`schema oneshot` of the release, on a database that has no tables."""

    database: SeededDatabase
    name: str = "schema"

    def inspect(self) -> Finding:
        """Detect whether there are tables, whose they are, and of which release."""
        if has_schema(self.database.connection):
            schema = self.database.schema()
            if schema.found:
                return self._compare(schema)
        if not self.database.connection.value(_COUNT):
            return Finding(state=State.CREATE, detail=f"of {self.database.version}")
        if self.database.marks.get(_MARK) == _MAKING:
            return Finding(state=State.CREATE, detail="anew: the last run was cut off")
        return Finding(
            state=State.WAITING,
            blocks=True,
            detail=f"{self.database.target} has tables of something else, and is not touched",
            remedy="name another database in site.toml and the service's configuration",
        )

    def apply(self) -> None:
        """Create the schema, after removing what an interrupted run has left."""
        database = self.database
        cut_off = database.marks.get(_MARK) == _MAKING
        database.marks.set(_MARK, _MAKING)
        if cut_off:
            database.connection.execute((_CLEAR, ()))
        config = str(database.layout.etc / database.data.alembic)
        if database.profile.schema_entry:
            database.cli.call(database.profile.schema_entry, "-f", config)
        else:
            database.cli.run("schema", "oneshot", "-f", config)
        found = revisions_of(database.connection)
        if not found:
            raise NotReadyError(
                f"{database.target}: has no schema after `schema oneshot`",
                hint=f"see {database.cli.log}",
            )
        database.marks.set_schema(database.version, found)
        database.marks.set(_MARK, f"{database.version} {' '.join(found)}")

    def _compare(self, schema: Schema) -> Finding:
        database = self.database
        listed = ", ".join(schema.found)
        if schema.state is SchemaState.CURRENT:
            return Finding(state=State.EXISTS, detail=listed)
        if schema.state is SchemaState.OLDER:
            return Finding(
                state=State.WAITING,
                blocks=True,
                detail=f"{database.target} is at {listed}, of an older release",
                remedy="sudo backendai-ctl upgrade",
            )
        return Finding(
            state=State.WAITING,
            blocks=True,
            detail=f"{database.target} is at {listed}, of a newer release than {database.version}",
            remedy=f"install the newer backendai-{database.data.service}, or restore a backup",
        )
