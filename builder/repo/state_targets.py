"""The part of the state that records what lies on each target."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from builder.repo.model import LOCAL, POOL, FileFacts
from builder.repo.publication import Published
from builder.repo.spill import batches

_POOL = f"{POOL}/*"
_TOGETHER = 1000
# What a target should have: the local one the packages with their documents, others the local's.
_WANTED_LOCALLY = (
    "SELECT pool AS path, sha256, size FROM package UNION ALL "
    "SELECT path, sha256, size FROM document"
)
_WANTED = f"SELECT path, sha256, size FROM published WHERE target = '{LOCAL}' AND retired IS NULL"


class TargetRecord:
    """The record of the files of targets, and what they lack."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes of the block, or none; within another block, with its changes."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.OperationalError):  # SQLite ends it itself on a full disk
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Execute one statement for many rows in one transaction, which waits for the disk once."""
        with self.transaction():
            self._db.executemany(statement, rows)

    def published(
        self, target: str, *, without: Iterable[PurePosixPath] = ()
    ) -> Iterator[tuple[PurePosixPath, Published]]:
        """Yield the files that earlier publications put on a target, but those of some folders.

        They are sorted as paths are: folder by folder.
        """
        globs = [f"{folder}/*" for folder in without]
        return self._published(
            target,
            f"NOT ({' OR '.join(['path GLOB ?'] * len(globs)) or 0}) "
            "ORDER BY replace(path, '/', char(1))",
            *globs,
        )

    def published_at(self, target: str, path: PurePosixPath) -> Published | None:
        """Return the file that an earlier publication put at a place."""
        return dict(self._published(target, "path = ?", str(path))).get(path)

    def retired(
        self, target: str, folder: PurePosixPath
    ) -> Iterator[tuple[PurePosixPath, Published]]:
        """Yield the files of a folder on a target that are unreferenced."""
        return self._published(target, "path GLOB ? AND retired IS NOT NULL", f"{folder}/*")

    def list_needed(self, listed: Iterable[PurePosixPath]) -> None:
        """List the files that :meth:`unlisted` does not yield; none is held."""
        with self.transaction():
            self._db.execute(
                "CREATE TEMP TABLE IF NOT EXISTS listed (path TEXT PRIMARY KEY) WITHOUT ROWID"
            )
            self._db.execute("DELETE FROM listed")
            for some in batches(((str(path),) for path in listed), _TOGETHER):
                self._db.executemany("INSERT OR IGNORE INTO listed VALUES (?)", some)

    def unlisted(
        self, target: str, folder: PurePosixPath
    ) -> Iterator[tuple[PurePosixPath, Published]]:
        """Yield the files of a folder on a target that were not listed last."""
        return self._published(target, "path GLOB ? AND path NOT IN listed", f"{folder}/*")

    def recorded(self, target: str) -> Iterator[tuple[PurePosixPath, FileFacts]]:
        """Yield the files that are on record, without holding them; change nothing meanwhile."""
        rows = self._db.execute(
            "SELECT path, sha256, size FROM published WHERE target = ?", (target,)
        )
        return facts_of(rows)

    def missing(self, target: str) -> Iterator[tuple[PurePosixPath, FileFacts]]:
        """Yield the files that a target should have, and does not have as they are.

        Of the local one only packages and documents; what else is there is made anew.
        """
        rows = self._db.execute(
            f"WITH wanted AS ({_wanted(target)}) "
            "SELECT w.path, w.sha256, w.size FROM wanted w LEFT JOIN published p "
            "ON p.target = ? AND p.path = w.path WHERE p.path IS NULL OR p.retired IS NOT NULL "
            "OR p.sha256 <> w.sha256 OR p.size <> w.size",
            (target,),
        )
        return facts_of(rows)

    def wanted(self, target: str, paths: Iterable[PurePosixPath]) -> dict[PurePosixPath, FileFacts]:
        """Return those of the files that the target should have."""
        found: dict[PurePosixPath, FileFacts] = {}
        for path in paths:
            rows = self._db.execute(
                f"WITH wanted AS ({_wanted(target)}) "
                "SELECT path, sha256, size FROM wanted WHERE path = ?",
                (str(path),),
            )
            found.update(facts_of(rows))
        return found

    def unwanted(self, target: str) -> Iterator[tuple[PurePosixPath, Published]]:
        """Yield the files on record that a target need not have any more.

        Of the local one only those of the pool.
        """
        if target == LOCAL:
            return self._published(
                target,
                "path GLOB ? AND NOT EXISTS (SELECT 1 FROM package WHERE pool = p.path) "
                "AND NOT EXISTS (SELECT 1 FROM document d WHERE d.path = p.path)",
                _POOL,
            )
        return self._published(
            target,
            "NOT EXISTS (SELECT 1 FROM published l WHERE l.target = ? AND l.path = p.path "
            "AND l.retired IS NULL)",
            LOCAL,
        )

    def _published(
        self, target: str, clause: str, *values: object
    ) -> Iterator[tuple[PurePosixPath, Published]]:
        rows = self._db.execute(
            f"SELECT path, sha256, size, retired FROM published p WHERE target = ? AND {clause}",
            (target, *values),
        )
        return _published_of(rows)

    def record_put(self, target: str, files: Iterable[tuple[PurePosixPath, FileFacts]]) -> None:
        """Record files that are in place on a target."""
        self._many(
            "INSERT OR REPLACE INTO published VALUES (?, ?, ?, ?, NULL)",
            ((target, str(path), facts.sha256, facts.size) for path, facts in files),
        )

    def record_retired(self, target: str, paths: Iterable[PurePosixPath], now: datetime) -> None:
        """Record files that are unreferenced from now on."""
        self._many(
            "UPDATE published SET retired = ? WHERE target = ? AND path = ? AND retired IS NULL",
            ((now.isoformat(), target, str(path)) for path in paths),
        )

    def record_deleted(self, target: str, paths: Iterable[PurePosixPath]) -> None:
        """Record files that are deleted from a target."""
        self._many(
            "DELETE FROM published WHERE target = ? AND path = ?",
            ((target, str(path)) for path in paths),
        )


def _wanted(target: str) -> str:
    return _WANTED_LOCALLY if target == LOCAL else _WANTED


def facts_of(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[PurePosixPath, FileFacts]]:
    """Yield the files of rows of path, sha256 and size."""
    for path, sha256, size in rows:
        yield PurePosixPath(path), FileFacts(sha256=sha256, size=size)


def _published_of(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[PurePosixPath, Published]]:
    for path, sha256, size, retired in rows:
        time = datetime.fromisoformat(retired) if retired else None
        yield (
            PurePosixPath(path),
            Published(facts=FileFacts(sha256=sha256, size=size), retired=time),
        )
