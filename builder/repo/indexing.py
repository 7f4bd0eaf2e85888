"""Makes the tree that readers see, signs it, and publishes it.

The repository's own ``public/`` is a target like any other, and the first; the
targets of ``repo.toml`` then get the very same files. A channel in which nothing changed
keeps its files, signatures included; where nothing at all changed, nothing is made.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from itertools import chain
from pathlib import Path, PurePosixPath

from builder.base import log
from builder.base.cache import key_of
from builder.base.errors import RepoError, UsageError
from builder.base.files import hash_sources, link_file, make_public_folder
from builder.base.storage import storage_guard
from builder.repo.advisories import list_advisories, render_osv
from builder.repo.beside import sign_statements
from builder.repo.changelog_files import write_changelogs
from builder.repo.changelogs import CHANGELOGS
from builder.repo.channel_index import (
    Channel,
    index_channel,
    inputs_key,
    kept_files,
    sign_index,
)
from builder.repo.core import Repository, workspace
from builder.repo.dated import config_for, list_snapshots, parse_snapshot, take_snapshots
from builder.repo.html import render_pages
from builder.repo.keyfiles import index_key_files, make_key_files
from builder.repo.model import LOCAL, POOL, STATE, FileFacts, Index, Publisher
from builder.repo.parts import Output, Parts
from builder.repo.pdiffs import Pdiffs
from builder.repo.publication import Difference, Publication, Published, Record, plan_publication
from builder.repo.publish import open_publisher
from builder.repo.publish.claim import publishing_alone
from builder.repo.publish.execute import Destination, publish
from builder.repo.publish.folder import FolderPublisher
from builder.repo.sign import Signer
from builder.repo.spool import Spool, digests_of
from builder.repo.state_packages import StoredPackages
from builder.spec import ReleaseSpec

_PARTS, _PDIFFS = "parts", "pdiffs"  # below the state's folder
# Recorded beside the channels, whose names have no such sign.
_WHOLE_TREE, _SIGNERS = "*tree", "*signers"


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """What a target has on record."""

    files: Record  # that are there, but packages, documents and changelogs, which may be many
    lost: frozenset[PurePosixPath]  # on record, but not there


@dataclass(frozen=True, kw_only=True)
class _Needed:
    """What a publication needs of the files on record."""

    kept: dict[PurePosixPath, FileFacts]
    changelogs: Record = field(default_factory=dict)  # that it has to compare
    dropped: Iterable[tuple[PurePosixPath, Published]]  # changelogs that it need not have


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What the tree is made of."""

    repository: Repository
    signer: Signer
    releases: Collection[ReleaseSpec]
    now: datetime
    refresh: bool


def build_tree(
    repository: Repository,
    signer: Signer,
    now: datetime,
    *,
    refresh: bool = False,
    releases: Collection[ReleaseSpec] = (),
) -> Publication:
    """Bring ``public/`` up to date; returns what changed there.

    ``releases`` are those that the pages describe, and whose changelogs are the advisories.
    ``refresh`` makes every index again, without a change too, and reads every file again.
    """
    job = _Job(repository=repository, signer=signer, releases=releases, now=now, refresh=refresh)
    state = repository.state
    standing = _examine_local(repository, refresh=refresh)
    keys = index_key_files(repository.config.name, make_key_files(repository, signer))
    with workspace(repository.root) as work, storage_guard(repository.public):
        spool = Spool(work / "tree")
        indexed: dict[str, tuple[str, datetime]] = {}
        needed = _make_changes(job, standing, keys, spool, indexed)
        publication, gone = _plan(job, standing, spool, needed)
        _write(repository, publication, spool, now)
    with state.transaction():
        state.record_deleted(LOCAL, gone)
        for channel, (inputs, time) in indexed.items():
            state.record_indexed(channel, inputs, time)
        # Last, after statements were signed and snapshots taken.
        state.record_indexed(_WHOLE_TREE, _tree_key(job, keys), now)
    return publication


def _make_changes(
    job: _Job,
    standing: _Standing,
    keys: Index,
    spool: Spool,
    indexed: dict[str, tuple[str, datetime]],
) -> _Needed:
    """Write what changed: see :func:`_make_tree`; returns what is needed of the rest."""
    state = job.repository.state
    if _is_unchanged(job, standing, keys):
        kept = {path: known.facts for path, known in standing.files.items() if not known.retired}
        return _Needed(kept=kept, dropped=state.retired(LOCAL, CHANGELOGS))
    spool.write_all(keys)
    kept = _make_tree(job, standing, spool, indexed)
    changelogs = write_changelogs(job.repository, standing.lost, spool)
    return _Needed(
        kept=kept | changelogs.wanted,
        changelogs=changelogs.present,
        dropped=state.unlisted(LOCAL, CHANGELOGS),
    )


def _plan(
    job: _Job, standing: _Standing, spool: Spool, needed: _Needed
) -> tuple[Publication, frozenset[PurePosixPath]]:
    """Plan the publication to ``public/``; returns with it the lost files that nobody needs."""
    state, lost = job.repository.state, standing.lost
    again = state.wanted(LOCAL, lost)
    wanted = {path: digests.facts for path, digests in spool.files.items()} | needed.kept
    publication = plan_publication(
        wanted,
        {**standing.files, **needed.changelogs},
        job.now,
        _grace(job.repository),
        Difference(
            missing=chain(state.missing(LOCAL), again.items()),
            unwanted=_there(chain(state.unwanted(LOCAL), needed.dropped), lost),
        ),
    )
    return publication, lost - {*wanted, *again}


def _examine_local(repository: Repository, *, refresh: bool) -> _Standing:
    """Compare what ``public/`` has on record with what is there; ``refresh`` reads every file."""
    lost = _find_lost(repository, LOCAL, FolderPublisher(repository.public), refresh=refresh)
    files = repository.state.published(LOCAL, without=(POOL, CHANGELOGS))
    return _Standing(files=dict(_there(files, lost)), lost=lost)


def _find_lost(
    repository: Repository, name: str, publisher: Publisher, *, refresh: bool
) -> frozenset[PurePosixPath]:
    return frozenset(
        path
        for path, facts in repository.state.recorded(name)
        if not _is_there(publisher, path, facts, refresh)
    )


def _there(
    files: Iterable[tuple[PurePosixPath, Published]], lost: Collection[PurePosixPath]
) -> Iterator[tuple[PurePosixPath, Published]]:
    return ((path, published) for path, published in files if path not in lost)


def _is_there(publisher: Publisher, path: PurePosixPath, facts: FileFacts, refresh: bool) -> bool:
    if refresh:
        return publisher.has(path, facts)
    return not isinstance(publisher, FolderPublisher) or (publisher.root / path).is_file()


def _is_unchanged(job: _Job, standing: _Standing, keys: Index) -> bool:
    """Return whether the tree is that of the last publication, and whole."""
    config, before = job.repository.config, job.repository.state.indexed(_WHOLE_TREE)
    # Without a new index, the date of validity would pass.
    dated = any(channel.is_dated for channel in config.channels.values())
    if before is None or dated or job.refresh or standing.lost:
        return False
    if any(True for _ in job.repository.state.missing(LOCAL)):
        return False
    return before[0] == _tree_key(job, keys)


def _tree_key(job: _Job, keys: Index) -> str:
    """Return one hash of all that the tree is made of, and of the code that makes it."""
    return key_of(
        _code(),
        job.repository.config.model_dump(mode="json"),
        job.signer.fingerprints,
        [digests_of(data).sha256 for data in keys.values()],
        [release.model_dump(mode="json") for release in job.releases],
        job.repository.state.content_key(),
    )


@cache
def _code() -> dict[str, str]:
    return hash_sources(Path(__file__).parent)


def _make_tree(
    job: _Job, standing: _Standing, spool: Spool, indexed: dict[str, tuple[str, datetime]]
) -> dict[PurePosixPath, FileFacts]:
    """Write what changed; returns the files that stay as they are.

    ``indexed`` gets the key and time of each channel whose indexes were made.
    """
    repository, state = job.repository, job.repository.state
    advisories = list_advisories(job.releases)
    members = _members(repository, job.signer, job.now)
    kept: dict[PurePosixPath, FileFacts] = {}
    parts = Parts(repository.root / STATE / _PARTS)
    kept_states = repository.config.apt.pdiffs
    pdiffs = Pdiffs(repository.root / STATE / _PDIFFS, kept_states) if kept_states else None
    output = Output(spool=spool, parts=parts, pdiffs=pdiffs)
    signers, signed_by = key_of(job.signer.fingerprints), state.indexed(_SIGNERS)
    same_keys = signed_by is not None and signed_by[0] == signers and not job.refresh
    for name, packages in members.items():
        channel = Channel(name=name, packages=packages, advisories=advisories)
        inputs, before = inputs_key(repository, channel, job.signer), state.indexed(name)
        old = kept_files(channel, standing.files, standing.lost)
        if before and before[0] == inputs and not _is_dated(job, name) and old and not job.refresh:
            kept |= old
            continue
        time = _time_of(name, before[1] if before else job.now, job.now)
        present = {p: standing.files[p] for p in old} if same_keys else {}
        date = index_channel(repository, channel, time, output, present)
        kept |= sign_index(spool, job.signer, present)
        indexed[name] = (inputs, date)
    indexed[_SIGNERS] = (signers, job.now)
    parts.sweep()
    listed = state.select(*members)
    spool.write_all(render_pages(repository.config, members, listed, job.releases, state.documents))
    spool.write_all(render_osv(advisories, state.everything()))
    return kept


def _is_dated(job: _Job, channel: str) -> bool:
    return config_for(job.repository.config, channel).channels[channel].is_dated


def _members(repository: Repository, signer: Signer, now: datetime) -> dict[str, StoredPackages]:
    """Return the packages of each channel and snapshot.

    Signs the statements that nobody has signed and takes the snapshots that are due.
    """
    state, config = repository.state, repository.config
    sign_statements(repository, signer)
    for taken in take_snapshots(state, config.snapshots.channels, now):
        log.step(f"took snapshot {taken.name} of {taken.of}")
    snapshots = [snapshot.channel for snapshot in list_snapshots(state.channels())]
    return {channel: state.select(channel) for channel in (*config.channels, *snapshots)}


def _time_of(channel: str, before: datetime, now: datetime) -> datetime:
    """Return the time that the indexes of a channel state; a snapshot's never changes."""
    return before if parse_snapshot(channel) else max(now, before)


def _grace(repository: Repository) -> timedelta:
    return timedelta(hours=repository.config.grace_hours)


def _write(repository: Repository, publication: Publication, spool: Spool, now: datetime) -> None:
    """Publish to ``public/``, whose pool has the packages already."""
    local, pool = FolderPublisher(repository.public), publication.puts.below(POOL)
    for put in pool:
        if not local.has(put.path, put.facts):
            raise RepoError(
                f"{repository.public / put.path} is lost or damaged, but the repository has it "
                "on record",
                hint="add the package again from its artifact, or restore it from a target",
            )
    repository.state.record_put(LOCAL, ((put.path, put.facts) for put in pool))
    rest = replace(publication, puts=publication.puts.below(POOL, inside=False))
    for put in rest.puts:
        if put.path not in spool.files:  # it was not needed for a while, and is again
            link_file(repository.public / put.path, spool.root / put.path)
    make_public_folder(repository.public)
    to = Destination(target=LOCAL, publisher=local, record=repository.state)
    publish(rest, to, source=spool.root, now=now)


def publish_target(
    repository: Repository,
    name: str,
    now: datetime,
    *,
    refresh: bool = False,
    break_lock: bool = False,
) -> Publication:
    """Publish ``public/`` to a target of ``repo.toml``; returns what changed there.

    ``refresh`` verifies every file there, and puts lost or changed files again.
    ``break_lock`` removes the lock of a publisher that was killed. Raises RepoError if
    another publisher is at work there.
    """
    targets = repository.config.targets
    if name not in targets:
        listed = ", ".join(targets) or "none"
        raise UsageError(f"repo.toml has no target '{name}'", hint=f"it has: {listed}")
    publisher = open_publisher(targets[name], repository.root)
    note = repository.root / STATE / f"publishing-{name}.json"
    with publishing_alone(publisher, name, note, break_claims=break_lock):
        state = repository.state
        lost = _find_lost(repository, name, publisher, refresh=refresh)
        known = Difference(
            missing=chain(state.missing(name), state.wanted(name, lost).items()),
            unwanted=_there(state.unwanted(name), lost),
        )
        publication = plan_publication({}, {}, now, _grace(repository), known)
        to = Destination(target=name, publisher=publisher, record=repository.state)
        publish(publication, to, source=repository.public, now=now)
    return publication
