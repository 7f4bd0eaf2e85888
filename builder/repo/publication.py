"""The order in which a tree is published, as data. Pure.

A reader begins with one of a few entry points (InRelease, mirrorlist), and every
file that an entry point names must exist before it and for a while after it. So: packages and
files whose name carries their hash first, then plainly named indexes, then detached
signatures, then the entry points; an unreferenced file is deleted by a later
publication, after a grace. If a run is interrupted, the old entry points and all that
they name still stand; the next run puts the missing files.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from pathlib import PurePosixPath

from builder.repo.model import FileFacts, check_place


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


@dataclass(frozen=True, kw_only=True)
class Publication:
    """The changes of one run to a target, in this order: puts, then retiring, then deletions."""

    puts: tuple[Put, ...]  # sorted by phase, then by path
    retire: tuple[PurePosixPath, ...]  # unreferenced from now on: their grace begins
    delete: tuple[PurePosixPath, ...]  # their grace is over

    def in_phase(self, phase: Phase) -> tuple[Put, ...]:
        """Return the puts of one phase."""
        return tuple(put for put in self.puts if phase_of(put.path) is phase)

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to be done."""
        return not (self.puts or self.retire or self.delete)


def plan_publication(
    wanted: Mapping[PurePosixPath, FileFacts],
    present: Record,
    now: datetime,
    grace: timedelta,
) -> Publication:
    """Plan the changes that make a target with ``present`` hold ``wanted``.

    ``present`` are the files that earlier runs put there; any other file is neither in it
    nor ever deleted. Raises RepoError if a place is outside the target.
    """
    for path in (*wanted, *present):
        check_place(path)
    puts = [
        Put(path=path, facts=facts)
        for path, facts in wanted.items()
        # A retired file that is wanted again is put again, which ends its grace.
        if present.get(path) != Published(facts=facts)
    ]
    gone = [(path, published) for path, published in present.items() if path not in wanted]
    return Publication(
        puts=tuple(sorted(puts, key=lambda put: (phase_of(put.path), put.path))),
        retire=_sorted(path for path, published in gone if published.retired is None),
        delete=_sorted(
            path
            for path, published in gone
            if published.retired is not None and now - published.retired >= grace
        ),
    )


def _sorted(paths: Iterable[PurePosixPath]) -> tuple[PurePosixPath, ...]:
    return tuple(sorted(paths))
