"""The changelogs of a tree: those that are there stay, and nothing of them is held.

There is one for each version of a deb, so the state keeps their record, and temporarily the
list of those that are needed.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from builder.base.model import PackageFormat
from builder.repo.changelogs import changelog_place, read_changelog
from builder.repo.core import Repository
from builder.repo.model import LOCAL, FileFacts, RepoPackage
from builder.repo.publication import Published
from builder.repo.spool import Spool


@dataclass(frozen=True, kw_only=True)
class KeptChangelogs:
    """Of those on record and needed what a publication has to know."""

    wanted: dict[PurePosixPath, FileFacts] = field(default_factory=dict)
    present: dict[PurePosixPath, Published] = field(default_factory=dict)


def write_changelogs(
    repository: Repository, lost: Collection[PurePosixPath], spool: Spool
) -> KeptChangelogs:
    """Write the changelogs that are not there; returns what changes of those that are needed.

    The others are those that the state has not listed: see ``State.unlisted``.
    ``lost`` are files on record that are not there.
    """
    state, kept = repository.state, KeptChangelogs()
    state.list_needed(_write_new(repository, lost, spool, kept))
    for place in lost:
        kept.present.pop(place, None)
    return kept


def _write_new(
    repository: Repository, lost: Collection[PurePosixPath], spool: Spool, kept: KeptChangelogs
) -> Iterator[PurePosixPath]:
    """Yield the place of each changelog that is needed, once it is there or in the spool."""
    state = repository.state
    for package in state.everything().where(fmt=PackageFormat.DEB):
        place = changelog_place(package)
        known = _known(repository, place, lost)
        if known is not None and known.retired is not None:  # needed again
            kept.wanted[place], kept.present[place] = known.facts, known
        elif known is None and place not in spool.files:
            text = _read(repository, package)
            if text:
                spool.write(place, text)
        yield place
    for place, text in _joined(repository, lost, spool).items():
        known = _known(repository, place, lost)
        kept.wanted.pop(place, None)
        if known is not None:
            kept.present[place] = known
        spool.write(place, text)
        yield place


def _joined(
    repository: Repository, lost: Collection[PurePosixPath], spool: Spool
) -> dict[PurePosixPath, bytes]:
    """Return the changelogs of packages that have one source in the indexes, while phased."""
    state = repository.state
    sources = {
        sha256: rollout.source
        for channel in repository.config.channels
        for sha256, rollout in state.rollouts(channel).items()
    }
    phased = [package for sha256 in sources if (package := state.by_sha256(sha256))]
    joined: defaultdict[PurePosixPath, list[bytes]] = defaultdict(list)
    for package in sorted(phased, key=lambda p: (p.name, p.version, p.arch)):
        place = changelog_place(package, sources[package.sha256])
        own = changelog_place(package)
        text = b""
        # At the source's own place is what is made here.
        if own != place and own in spool.files:
            text = spool.read(own)
        elif own != place and _known(repository, own, lost):
            text = (repository.public / own).read_bytes()
        text = text or _read(repository, package)
        if text and text not in joined[place]:
            joined[place].append(text)
    return {place: b"\n".join(texts) for place, texts in joined.items() if texts}


def _known(
    repository: Repository, place: PurePosixPath, lost: Collection[PurePosixPath]
) -> Published | None:
    """Return the changelog on record that is there."""
    return None if place in lost else repository.state.published_at(LOCAL, place)


def _read(repository: Repository, package: RepoPackage) -> bytes:
    return read_changelog(package, repository.public / package.pool, repository.state.listing)
