"""At which schema a database is, beside what the installed release knows.

Whoever asks (seeding, an upgrade, a first start) asks here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from backendai_ctl.base.layout import Layout
from backendai_ctl.stores.postgresql import Database
from backendai_ctl.stores.revisions import Revisions, read_revisions

_VERSIONS = "alembic_version"
# Everything a migration may change but the rows: columns with their types, and indexes.
_FINGERPRINT = """
SELECT md5(coalesce(string_agg(line, E'\\n' ORDER BY line), '')) FROM (
    SELECT format('%s.%s %s %s %s', c.relname, a.attname, a.atttypid::regtype, a.attnotnull,
                  a.atthasdef) AS line
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v')
    UNION ALL
    SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT format('%s %s', t.typname, e.enumlabel)
      FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid
) AS lines
"""


class SchemaState(Enum):
    """How a database stands to the installed release."""

    EMPTY = "empty"
    CURRENT = "current"
    OLDER = "older"
    NEWER = "newer"


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The revisions of a database, and those of the installed release."""

    found: Sequence[str]
    release: Revisions

    @property
    def state(self) -> SchemaState:
        """How the one stands to the other."""
        if not self.found:
            return SchemaState.EMPTY
        if set(self.found) == self.release.heads:
            return SchemaState.CURRENT
        return SchemaState.OLDER if set(self.found) <= self.release.known else SchemaState.NEWER


def inspect_schema(database: Database, layout: Layout, service: str, alembic_config: str) -> Schema:
    """Read what the database and the installed release say; NotReadyError without an answer."""
    return Schema(
        found=revisions_of(database),
        release=read_revisions(layout, service, alembic_config),
    )


def revisions_of(database: Database) -> Sequence[str]:
    """The revisions that the database says it is at; none where it has no schema."""
    if not has_schema(database):
        return ()
    rows = database.rows(f"SELECT version_num FROM {_VERSIONS} ORDER BY 1")
    return [str(row[0]) for row in rows]


def has_schema(database: Database, table: str = _VERSIONS) -> bool:
    """Whether the table that is made last is there."""
    return database.has_table(table)


def fingerprint(database: Database) -> str:
    """What changes whenever a migration has changed a table, an index or an enum."""
    return str(database.value(_FINGERPRINT))
