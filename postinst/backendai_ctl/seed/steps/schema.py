"""The step that makes the schema of a fresh database, and never changes another one."""

from dataclasses import dataclass

from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.seed.model import Finding, State
from backendai_ctl.seed.session import Filled
from backendai_ctl.stores.schema_state import Schema, SchemaState, has_schema, revisions_of

_MARK = "schema"
_MAKING = "making"
_COUNT = """
SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
"""
# The release makes its tables in one transaction and their version in another.
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

    one: Filled
    name: str = "schema"

    def look(self) -> Finding:
        """Detect whose tables are there, and of which release."""
        if has_schema(self.one.database):
            schema = self.one.schema()
            if schema.found:
                return self._compare(schema)
        if not self.one.database.value(_COUNT):
            return Finding(state=State.CREATE, detail=f"of {self.one.version}")
        if self.one.marks.get(_MARK) == _MAKING:
            return Finding(state=State.CREATE, detail="anew: the last run was cut off")
        return Finding(
            state=State.WAITING,
            blocks=True,
            detail=f"{self.one.target} has tables of something else, and is not touched",
            remedy="name another database in site.toml and the service's configuration",
        )

    def act(self) -> None:
        """Make it; what a run that was cut off has left is cleared first."""
        one = self.one
        cut_off = one.marks.get(_MARK) == _MAKING
        one.marks.set(_MARK, _MAKING)
        if cut_off:
            one.database.execute((_CLEAR, ()))
        one.cli.run("schema", "oneshot", "-f", str(one.layout.etc / one.data.alembic))
        found = revisions_of(one.database)
        if not found:
            raise NotReadyError(
                f"{one.target}: has no schema after `schema oneshot`", hint=f"see {one.cli.log}"
            )
        one.marks.set_schema(one.version, found)
        one.marks.set(_MARK, f"{one.version} {' '.join(found)}")

    def _compare(self, schema: Schema) -> Finding:
        one = self.one
        listed = ", ".join(schema.found)
        if schema.state is SchemaState.CURRENT:
            return Finding(state=State.EXISTS, detail=listed)
        if schema.state is SchemaState.OLDER:
            return Finding(
                state=State.WAITING,
                blocks=True,
                detail=f"{one.target} is at {listed}, of an older release",
                remedy="sudo backendai-ctl upgrade",
            )
        return Finding(
            state=State.WAITING,
            blocks=True,
            detail=f"{one.target} is at {listed}, of a newer release than {one.version}",
            remedy=f"install the newer backendai-{one.data.service}, or restore a backup",
        )
