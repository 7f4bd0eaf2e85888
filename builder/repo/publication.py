"""The order in which a tree is published, as data.

A reader begins with one of a few entry points (InRelease, mirrorlist), and every
file that an entry point names must exist before it and for a while after it. So: packages and
files whose name carries their hash first, then plainly named indexes, then detached
signatures, then the entry points; an unreferenced file is deleted by a later
publication, after a grace. If a run is interrupted, the old entry points and all that
they name still stand; the next run puts the missing files.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from builder.repo.model import FileFacts, check_place
from builder.repo.spill import Spill, key_path, path_key

_PUT, _RETIRE, _DELETE = range(3)
_TABLE = """
CREATE TABLE file (
    what INTEGER, phase INTEGER, key BLOB, sha256 TEXT, size INTEGER,
    PRIMARY KEY (what, phase, key)
) WITHOUT ROWID;
"""


class Phase(IntEnum):
    """A step of a publication: every file of a phase is in place before the next begins."""

    CONTENT = 0  # packages, by-hash, checksum-named: never replaced by different content
    INDEX = 1  # plain names that an entry point describes: Packages.gz, Contents
    SIGNATURE = 2  # Release, Release.gpg, repomd.xml.asc: one half of a pair
    ENTRY = 3  # InRelease, repomd.xml, mirrorlist: from here on readers see the new state
    PAGE = 4  # for people: no client relies on it


_BY_CONTENT = re.compile(
    r"pool/.*|(snapshots/[^/]+/)?dists/.*/by-hash/[^/]+/[0-9a-f]+|.*/repodata/[0-9a-f]{32,}-[^/]+"
    r"|rpm/.*\.[0-9a-f]{32}/.*"  # a snapshot: see builder/repo/repodata.py
)
_SIGNATURE = re.compile(
    r"(snapshots/[^/]+/)?dists/(snapshots/[^/]+/)?[^/]+/Release(\.gpg)?|.*/repodata/repomd\.xml\.(asc|key)"
)
_ENTRY = re.compile(
    r"(snapshots/[^/]+/)?dists/(snapshots/[^/]+/)?[^/]+/InRelease|.*/repodata/repomd\.xml|rpm/.*/mirrorlist"
)
_INDEX = re.compile(r"((snapshots/[^/]+/)?dists|rpm|keys|changelogs|osv)/.*")


def phase_of(path: PurePosixPath) -> Phase:
    """Return the phase in which the file at this place is put."""
    text = str(path)
    for pattern, phase in (
        (_BY_CONTENT, Phase.CONTENT),
        (_SIGNATURE, Phase.SIGNATURE),
        (_ENTRY, Phase.ENTRY),
        (_INDEX, Phase.INDEX),
    ):
        if pattern.fullmatch(text):
            return phase
    return Phase.PAGE


@dataclass(frozen=True, kw_only=True)
class Published:
    """A file that was put on a target, and the time from which it is unreferenced."""

    facts: FileFacts
    retired: datetime | None = None


Record = Mapping[PurePosixPath, Published]  # the files that were put on a target


@dataclass(frozen=True, kw_only=True)
class Put:
    """A file to be put."""

    path: PurePosixPath
    facts: FileFacts


class _Rows:
    """Rows of a publication, in their order; there may be as many as files of the tree."""

    def __init__(self, spill: Spill, clause: str, *values: object) -> None:
        self._spill, self._clause, self._values = spill, clause, values

    def _rows(self) -> Iterable[Any]:
        return self._spill.db.execute(
            f"SELECT key, sha256, size FROM file WHERE {self._clause} ORDER BY phase, key",
            self._values,
        )

    def _total(self, what: str) -> int:
        statement = f"SELECT {what} FROM file WHERE {self._clause}"
        (total,) = self._spill.db.execute(statement, self._values).fetchone()
        return int(total)

    def __len__(self) -> int:
        return self._total("count(*)")


class Puts(_Rows):
    """Files to be put, sorted by phase, then by place."""

    def __iter__(self) -> Iterator[Put]:
        for key, sha256, size in self._rows():
            yield Put(path=key_path(key), facts=FileFacts(sha256=sha256, size=size))

    @property
    def size(self) -> int:
        """The bytes of all."""
        return self._total("ifnull(sum(size), 0)")

    def in_phase(self, phase: Phase) -> "Puts":
        """Return those of one phase."""
        return Puts(self._spill, f"{self._clause} AND phase = ?", *self._values, int(phase))

    def below(self, folder: PurePosixPath, *, inside: bool = True) -> "Puts":
        """Return those in a folder, or the others."""
        prefix = path_key(folder / "x")[:-1]
        clause = f"{self._clause} AND (substr(key, 1, ?) = ?) = ?"
        return Puts(self._spill, clause, *self._values, len(prefix), prefix, int(inside))


class Places(_Rows):
    """Places, sorted."""

    def __iter__(self) -> Iterator[PurePosixPath]:
        return (key_path(key) for key, _, _ in self._rows())


@dataclass(frozen=True, kw_only=True)
class Publication:
    """The changes of one run to a target, in this order: puts, then retiring, then deletions."""

    puts: Puts
    retire: Places  # unreferenced from now on: their grace begins
    delete: Places  # their grace is over

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to be done."""
        return not (len(self.puts) or len(self.retire) or len(self.delete))


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Files that differ between what is wanted and what is there; they may be many."""

    missing: Iterable[tuple[PurePosixPath, FileFacts]] = ()
    unwanted: Iterable[tuple[PurePosixPath, Published]] = ()  # that earlier runs put there


NO_DIFFERENCE = Difference()


def plan_publication(
    wanted: Mapping[PurePosixPath, FileFacts],
    present: Record,
    now: datetime,
    grace: timedelta,
    known: Difference = NO_DIFFERENCE,
) -> Publication:
    """Plan the changes that make a target with ``present`` hold ``wanted``.

    ``present`` are the files that earlier runs put there; any other file is neither in it
    nor ever deleted. What is ``known`` is neither in ``wanted`` nor in ``present``. Raises
    RepoError if a place is outside the target.
    """
    plan = _Plan()
    plan.put(known.missing)
    # A retired file that is wanted again is put again, which ends its grace.
    plan.put((p, f) for p, f in wanted.items() if present.get(p) != Published(facts=f))
    for path in (*wanted, *present):
        check_place(path)
    gone = ((path, published) for path, published in present.items() if path not in wanted)
    plan.drop(chain(known.unwanted, gone), now - grace)
    return plan.publication()


class _Plan:
    """Collects the rows of a publication."""

    def __init__(self) -> None:
        self._spill = Spill(_TABLE)

    def put(self, files: Iterable[tuple[PurePosixPath, FileFacts]]) -> None:
        """Add files to be put."""
        self._add(
            (_PUT, phase_of(path), path_key(check_place(path)), facts.sha256, facts.size)
            for path, facts in files
        )

    def drop(self, gone: Iterable[tuple[PurePosixPath, Published]], oldest: datetime) -> None:
        """Add files to be retired, or deleted if they were retired at ``oldest`` or before."""
        self._add(
            (
                _RETIRE if published.retired is None else _DELETE,
                *(0, path_key(check_place(path)), "", 0),
            )
            for path, published in gone
            if published.retired is None or published.retired <= oldest
        )

    def _add(self, rows: Iterable[tuple[object, ...]]) -> None:
        self._spill.db.executemany("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?)", rows)

    def publication(self) -> Publication:
        """Return what was collected."""
        puts, retire, delete = (f"what = {what}" for what in (_PUT, _RETIRE, _DELETE))
        return Publication(
            puts=Puts(self._spill, puts),
            retire=Places(self._spill, retire),
            delete=Places(self._spill, delete),
        )
