"""Which revision a database is at, beside those that the installed release knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from backendai_ctl.seed.session import Filled
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


class Standing(Enum):
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
    def standing(self) -> Standing:
        """How the one stands to the other."""
        if not self.found:
            return Standing.EMPTY
        if set(self.found) == self.release.heads:
            return Standing.CURRENT
        return Standing.OLDER if set(self.found) <= self.release.known else Standing.NEWER


def look(one: Filled) -> Schema:
    """Ask the database; NotReadyError where it does not answer."""
    return Schema(
        found=versions(one),
        release=read_revisions(one.layout, one.data.service, one.data.alembic),
    )


def versions(one: Filled) -> Sequence[str]:
    """The revisions that the database says it is at."""
    if one.database.value("SELECT to_regclass($1) IS NULL", _VERSIONS):
        return ()
    rows = one.database.rows(f"SELECT version_num FROM {_VERSIONS} ORDER BY 1")
    return [str(row[0]) for row in rows]


def fingerprint(one: Filled) -> str:
    """What changes whenever a migration has changed a table, an index or an enum."""
    return str(one.database.value(_FINGERPRINT))
