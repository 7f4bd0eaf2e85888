"""The schema of a database, compared with that of the installed release.

Seeding, upgrades and first starts all use this comparison.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from backendai_ctl.base.layout import Layout
from backendai_ctl.stores.postgresql import Database
from backendai_ctl.stores.revisions import Revisions, read_revisions

_VERSIONS = "alembic_version"
# All that a migration may change except rows: columns with their types, and indexes.
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
    """The relation of a database to the installed release."""

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
        """The relation of the database to the release."""
        if not self.found:
            return SchemaState.EMPTY
        if set(self.found) == self.release.heads:
            return SchemaState.CURRENT
        return SchemaState.OLDER if set(self.found) <= self.release.known else SchemaState.NEWER


def inspect_schema(database: Database, layout: Layout, service: str, alembic_config: str) -> Schema:
    """Read the revisions of the database and the release; NotReadyError without an answer."""
    return Schema(
        found=revisions_of(database),
        release=read_revisions(layout, service, alembic_config),
    )


def revisions_of(database: Database) -> Sequence[str]:
    """Return the revisions that the database records; none if it has no schema."""
    if not has_schema(database):
        return ()
    rows = database.rows(f"SELECT version_num FROM {_VERSIONS} ORDER BY 1")
    return [str(row[0]) for row in rows]


def has_schema(database: Database, table: str = _VERSIONS) -> bool:
    """Whether the table that is created last exists."""
    return database.has_table(table)


def fingerprint(database: Database) -> str:
    """Return a text that differs after any change to a table, an index or an enum."""
    return str(database.value(_FINGERPRINT))
