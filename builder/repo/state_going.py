"""Packages that leave channels, listed in the state's temporary database: they may be many."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from builder.repo.model import RepoPackage
from builder.repo.state_packages import COLUMNS, StoredPackages
from builder.repo.state_records import Load, stored_package

_TABLE = (
    f"CREATE TEMP TABLE IF NOT EXISTS going (channel TEXT, at INTEGER, {COLUMNS}, "
    "PRIMARY KEY (channel, at)) WITHOUT ROWID"
)
_INDEX = "CREATE INDEX IF NOT EXISTS temp.going_sha256 ON going (channel, sha256)"
_NONE = ""  # in place of a channel: of packages that are in none any more


@dataclass(frozen=True, kw_only=True)
class GoingPackages:
    """Those of one list, in its order; they can be read until the state is closed."""

    db: sqlite3.Connection
    load: Load
    channel: str

    def __iter__(self) -> Iterator[RepoPackage]:
        rows = self.db.execute(
            f"SELECT {COLUMNS} FROM going WHERE channel = ? ORDER BY at", (self.channel,)
        )
        return (stored_package(row, self.load) for row in rows)

    def __len__(self) -> int:
        statement = "SELECT count(*) FROM going WHERE channel = ?"
        (count,) = self.db.execute(statement, (self.channel,)).fetchone()
        return int(count)


class Going:
    """The packages that leave each channel, and those that no channel has any more."""

    def __init__(self, db: sqlite3.Connection, load: Load) -> None:
        self._db, self._load = db, load
        for statement in (_TABLE, _INDEX, "DELETE FROM going"):
            db.execute(statement)

    def leave(self, channel: str, packages: Iterable[RepoPackage]) -> GoingPackages:
        """List packages that leave a channel; returns them."""
        self._db.executemany(
            f"INSERT INTO going SELECT ?, ?, {COLUMNS} FROM package WHERE sha256 = ?",
            ((channel, at, package.sha256) for at, package in enumerate(packages)),
        )
        return GoingPackages(db=self._db, load=self._load, channel=channel)

    def orphans(self) -> GoingPackages:
        """List the packages that no channel has when all listed have left; returns them."""
        clause = (
            "NOT EXISTS (SELECT 1 FROM member m WHERE m.sha256 = package.sha256 AND NOT EXISTS "
            "(SELECT 1 FROM going g WHERE g.channel = m.channel AND g.sha256 = m.sha256))"
        )
        return self.leave(_NONE, StoredPackages(db=self._db, load=self._load, clauses=(clause,)))

    def apply(self) -> None:
        """End the memberships, and drop the packages that are in no channel any more."""
        for table in ("member", "rollout"):
            self._db.execute(
                f"DELETE FROM {table} WHERE EXISTS (SELECT 1 FROM going g "
                f"WHERE g.channel = {table}.channel AND g.sha256 = {table}.sha256)"
            )
        self._db.execute(
            "DELETE FROM package WHERE sha256 IN (SELECT sha256 FROM going WHERE channel = ?)",
            (_NONE,),
        )
