"""The content of a repository, in SQLite, so that adding a package never re-reads another.

Every change is one transaction. A package's file is in the pool before its row is written; the
row is deleted before the file is. So a crash leaves at most a file without a row, which
``check`` shows and the next ``prune`` removes.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath

import zstandard

from builder.base.errors import SPACE_HINT, RepoError, StorageError
from builder.base.model import PackageFormat
from builder.base.scratch import file_lock
from builder.base.storage import storage_guard
from builder.repo.model import LOCAL, STATE, FileFacts, IndexRecord, RepoPackage, Rollout
from builder.repo.state_format import prepare_state
from builder.repo.state_going import Going
from builder.repo.state_packages import COLUMNS, StoredPackages
from builder.repo.state_records import parse_record, record_text, stored_package
from builder.repo.state_targets import TargetRecord, facts_of

_FILE = "repo.sqlite"
_LOCK = "lock"
_BUSY_S = 30.0
_WHOLE = 100  # percent
# The second: where a page of a temporary file does not fit.
_NO_SPACE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)


class State(TargetRecord):
    """The state of one repository; use :func:`open_state`."""

    def add(self, package: RepoPackage, listing: bytes, given: str) -> None:
        """Add a package whose file is in the pool.

        ``given`` is the sha256 of the file as it was before it was signed.
        """
        row = (
            *(package.fmt.value, package.name, package.version, package.arch, package.component),
            *(package.file, str(package.pool), package.sha256, package.size),
            *(package.added.isoformat(), record_text(package.record), given),
        )
        marks = ", ".join("?" * len(row))
        self._db.execute(f"INSERT INTO package ({COLUMNS}, metadata, given) VALUES ({marks})", row)
        content = zstandard.ZstdCompressor().compress(listing)
        self._db.execute("INSERT INTO listing VALUES (?, ?)", (package.sha256, content))

    def find(
        self, fmt: PackageFormat, name: str, version: str | None = None, arch: str | None = None
    ) -> list[RepoPackage]:
        """Return packages of this name and, if given, of this version and architecture."""
        clause = "fmt = ? AND name = ? AND version = ifnull(?, version) AND arch = ifnull(?, arch)"
        return self._select(clause, (fmt.value, name, version, arch))

    def given(self, sha256: str) -> str:
        """Return the sha256 that a package's file had before it was signed."""
        row = self._db.execute("SELECT given FROM package WHERE sha256 = ?", (sha256,)).fetchone()
        return str(row[0]) if row else ""

    def by_sha256(self, sha256: str) -> RepoPackage | None:
        """Return the package whose file has this hash."""
        return next(iter(self._select("sha256 = ?", (sha256,))), None)

    def at(self, pool: PurePosixPath) -> RepoPackage | None:
        """Return the package whose file lies at this place."""
        return next(iter(self._select("pool = ?", (str(pool),))), None)

    def select(self, *channels: str) -> StoredPackages:
        """Return the packages that any of the channels has; none of them is held."""
        marks = ", ".join("?" * len(channels))
        clause = (
            "EXISTS (SELECT 1 FROM member m WHERE m.sha256 = package.sha256 "
            f"AND m.channel IN ({marks}))"
        )
        return replace(self.everything(), clauses=(clause,), values=channels)

    def everything(self) -> StoredPackages:
        """Return all packages; none of them is held."""
        return StoredPackages(db=self._db, load=self._record)

    def documented(self) -> StoredPackages:
        """Return the packages that have documents; none of them is held."""
        clause = "EXISTS (SELECT 1 FROM document d WHERE d.package = package.sha256)"
        return replace(self.everything(), clauses=(clause,))

    def begin_pruning(self) -> Going:
        """Return an empty list of packages that leave channels."""
        return Going(self._db, self._record)

    def _select(self, clause: str, values: Sequence[object]) -> list[RepoPackage]:
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM package WHERE {clause} "
            "ORDER BY fmt, name, version, arch, sha256",
            values,
        )
        load = self._record  # one for all
        return [stored_package(row, load) for row in rows]

    def _record(self, sha256: str) -> IndexRecord:
        """Return the record of a package in the indexes."""
        row = self._db.execute(
            "SELECT fmt, metadata FROM package WHERE sha256 = ?", (sha256,)
        ).fetchone()
        if row is None:
            raise RepoError(f"the state has no package with sha256 {sha256}")
        return parse_record(PackageFormat(row[0]), row[1])

    def knows(self, path: PurePosixPath) -> bool:
        """Return whether a file of the pool is that of a package, or was published."""
        statement = (
            "SELECT EXISTS (SELECT 1 FROM package WHERE pool = :path) OR EXISTS "
            "(SELECT 1 FROM document WHERE path = :path) OR EXISTS "
            "(SELECT 1 FROM published WHERE target = :target AND path = :path)"
        )
        try:
            row = self._db.execute(statement, {"path": str(path), "target": LOCAL}).fetchone()
        except UnicodeEncodeError:  # a name that no package has
            return False
        return bool(row[0])

    def documents(self, sha256: str) -> dict[PurePosixPath, FileFacts]:
        """Return the documents of a package by their places in the tree."""
        rows = self._db.execute(
            "SELECT path, sha256, size FROM document WHERE package = ? ORDER BY path", (sha256,)
        )
        return dict(facts_of(rows))

    def record_document(self, package: str, path: PurePosixPath, facts: FileFacts) -> None:
        """Record a document of the package with this sha256, whose file is in the pool."""
        self._db.execute(
            "INSERT OR REPLACE INTO document VALUES (?, ?, ?, ?)",
            (str(path), package, facts.sha256, facts.size),
        )

    def listing(self, sha256: str) -> bytes:
        """Return the listing of a package, as its reader returned it."""
        row = self._db.execute("SELECT content FROM listing WHERE sha256 = ?", (sha256,)).fetchone()
        if row is None:
            raise RepoError(f"the state has no package with sha256 {sha256}")
        return zstandard.ZstdDecompressor().decompress(row[0])

    def channels_of(self, sha256: str) -> list[str]:
        """Return the channels that refer to a package."""
        rows = self._db.execute(
            "SELECT channel FROM member WHERE sha256 = ? ORDER BY channel", (sha256,)
        )
        return [channel for (channel,) in rows]

    def channels(self) -> list[str]:
        """Return the channels that have packages."""
        rows = self._db.execute("SELECT DISTINCT channel FROM member ORDER BY channel")
        return [channel for (channel,) in rows]

    def has_same_members(self, channel: str, other: str) -> bool:
        """Return whether two channels have the same packages."""
        statement = (
            "SELECT EXISTS (SELECT 1 FROM member a WHERE a.channel = ? AND NOT EXISTS "
            "(SELECT 1 FROM member b WHERE b.channel = ? AND b.sha256 = a.sha256))"
        )
        pairs = ((channel, other), (other, channel))
        return not any(self._db.execute(statement, pair).fetchone()[0] for pair in pairs)

    def join_all(self, channel: str, other: str) -> None:
        """Make all packages of another channel members of a channel."""
        self._db.execute(
            "INSERT OR IGNORE INTO member SELECT ?, sha256 FROM member WHERE channel = ?",
            (channel, other),
        )

    def join(self, channel: str, hashes: Iterable[str]) -> int:
        """Make packages members of a channel; returns how many were not yet."""
        before = self._db.total_changes
        self._db.executemany(
            "INSERT OR IGNORE INTO member VALUES (?, ?)", ((channel, sha256) for sha256 in hashes)
        )
        return self._db.total_changes - before

    def leave(self, channel: str, hashes: Iterable[str]) -> None:
        """End packages' membership of a channel."""
        rows = [(channel, sha256) for sha256 in hashes]
        self._db.executemany("DELETE FROM member WHERE channel = ? AND sha256 = ?", rows)
        self._db.executemany("DELETE FROM rollout WHERE channel = ? AND sha256 = ?", rows)

    def rollouts(self, channel: str) -> dict[str, Rollout]:
        """Return the rollouts of a channel that are not complete, by the package's sha256."""
        rows = self._db.execute(
            "SELECT sha256, percent, source FROM rollout WHERE channel = ?", (channel,)
        )
        return {sha256: Rollout(percent=percent, source=source) for sha256, percent, source in rows}

    def record_rollouts(self, channel: str, rollouts: Mapping[str, Rollout]) -> None:
        """Record how far rollouts are; one of 100 percent is over."""
        for sha256, rollout in rollouts.items():
            if rollout.percent < _WHOLE:
                row = (channel, sha256, rollout.percent, rollout.source)
                self._db.execute("INSERT OR REPLACE INTO rollout VALUES (?, ?, ?, ?)", row)
            else:
                self._db.execute(
                    "DELETE FROM rollout WHERE channel = ? AND sha256 = ?", (channel, sha256)
                )

    def content_key(self) -> str:
        """Return one hash of all packages, documents, memberships and rollouts."""
        digest = hashlib.sha256()
        for table, columns in (
            ("package", "sha256, pool, added"),
            ("member", "channel, sha256"),
            ("document", "path, package, sha256"),
            ("rollout", "channel, sha256, percent, source"),
        ):
            digest.update(f"{table}\n".encode())
            for row in self._db.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}"):
                digest.update(repr(row).encode())
        return digest.hexdigest()

    def forget(self, hashes: Iterable[str]) -> None:
        """Drop packages from the state; the caller removes their files."""
        self._db.executemany(
            "DELETE FROM package WHERE sha256 = ?", ((sha256,) for sha256 in hashes)
        )

    def indexed(self, channel: str) -> tuple[str, datetime] | None:
        """Return the hash of the inputs of a channel's indexes, and the time in the indexes."""
        row = self._db.execute(
            "SELECT inputs, time FROM indexed WHERE channel = ?", (channel,)
        ).fetchone()
        return (row[0], datetime.fromisoformat(row[1])) if row else None

    def record_indexed(self, channel: str, inputs: str, now: datetime) -> None:
        """Record the inputs of a channel's indexes."""
        self._db.execute(
            "INSERT OR REPLACE INTO indexed VALUES (?, ?, ?)", (channel, inputs, now.isoformat())
        )


@contextmanager
def _space_guard(path: Path) -> Iterator[None]:
    """Raise StorageError where SQLite lacks space, for the state or for what it sorts."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode not in _NO_SPACE:
            raise
        raise StorageError(
            f"no space left on the disk of {path}, or on that of SQLite's temporary files",
            hint=f"{SPACE_HINT}; TMPDIR names another folder for temporary files",
        ) from error


@contextmanager
def open_state(root: Path, *, create: bool = False) -> Iterator[State]:
    """Open the state of the repository at ``root`` for this process alone.

    Raises RepoError if it does not exist and ``create`` is not set.
    """
    folder = root / STATE
    path = folder / _FILE
    if not create and not path.is_file():
        raise RepoError(
            f"{root} is not a repository: it has no {STATE}/{_FILE}",
            hint="run 'builder repo init' there, or name another folder with --root",
        )
    with storage_guard(path), _space_guard(path):
        folder.mkdir(parents=True, exist_ok=True)
        with (
            # Two publications at once would each delete files that the other still needs.
            file_lock(folder / _LOCK, "waiting for another command that changes this repository"),
            closing(sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)) as connection,
        ):
            prepare_state(connection, path)
            yield State(connection)
