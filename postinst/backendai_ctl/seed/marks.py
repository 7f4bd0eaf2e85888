"""Marks of what this tool did to a database, kept in the database so that backups include them."""

import socket
from collections.abc import Sequence

from backendai_ctl.stores.postgresql import Database

SCHEMA = "backendai_packages"
_TABLE = f"{SCHEMA}.marks"
# The schema that each release had here: a downgrade compares with it.
_OF_RELEASE = "schema/"
_MAKE = f"""
CREATE TABLE IF NOT EXISTS {_TABLE} (
    name text PRIMARY KEY,
    value text NOT NULL,
    host text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
)
"""


class Marks:
    """Names and values; writing needs the lock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> str | None:
        """Return the value of a mark; None if the mark or the whole table is missing."""
        if not self._database.has_table(_TABLE):
            return None
        value = self._database.value(f"SELECT value FROM {_TABLE} WHERE name = $1", name)
        return None if value is None else str(value)

    def values(self, prefix: str) -> dict[str, str]:
        """Return the marks whose names begin with ``prefix``, and their values."""
        if self._database.value("SELECT to_regclass($1) IS NULL", _TABLE):
            return {}
        statement = f"SELECT name, value FROM {_TABLE} WHERE starts_with(name, $1)"
        return {str(row[0]): str(row[1]) for row in self._database.rows(statement, prefix)}

    def host(self, name: str) -> str:
        """Return the host that set an existing mark."""
        return str(self._database.value(f"SELECT host FROM {_TABLE} WHERE name = $1", name))

    def set(self, name: str, value: str) -> None:
        """Create or change a mark."""
        self._database.execute(*self.prepared(name, value))

    def drop(self, name: str) -> None:
        """Remove a mark, if it exists."""
        if self.get(name) is not None:
            self._database.execute((f"DELETE FROM {_TABLE} WHERE name = $1", (name,)))

    def set_schema(self, version: str, revisions: Sequence[str]) -> None:
        """Record the revisions that the release ``version`` worked with here."""
        self.set(f"{_OF_RELEASE}{version}", " ".join(sorted(revisions)))

    def schema_of(self, version: str) -> list[str] | None:
        """Return the revisions that ``version`` worked with here, sorted; None if it never did."""
        text = self.get(f"{_OF_RELEASE}{version}")
        return None if text is None else text.split()

    def prepared(self, name: str, value: str) -> list[tuple[str, Sequence[object]]]:
        """Return the statements that ``set`` runs, for a transaction with others."""
        put = (
            f"INSERT INTO {_TABLE} (name, value, host) VALUES ($1, $2, $3) "
            "ON CONFLICT (name) DO UPDATE SET value = $2, host = $3, at = now()"
        )
        return [
            (f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}", ()),
            (_MAKE, ()),
            (put, (name, value, socket.gethostname())),
        ]
