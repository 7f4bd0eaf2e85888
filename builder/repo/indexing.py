"""Makes the tree that readers see, signs it, and publishes it.

The repository's own ``public/`` is a target like any other, and the first; the
targets of ``repo.toml`` then get the very same files. A channel in which nothing changed
keeps its files, signatures included.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from builder.base import log
from builder.base.cache import key_of
from builder.base.errors import RepoError, UsageError
from builder.base.files import make_public_folder
from builder.base.model import PackageFormat
from builder.base.storage import storage_guard
from builder.repo.advisories import Advisory, advisories_key, list_advisories, render_osv
from builder.repo.apt import AptIndexer
from builder.repo.beside import sign_statements
from builder.repo.changelogs import find_changelogs, join_changelogs
from builder.repo.core import Repository, workspace
from builder.repo.dated import config_for, list_snapshots, parse_snapshot, take_snapshots
from builder.repo.html import render_pages
from builder.repo.keyfiles import index_key_files, make_key_files
from builder.repo.model import (
    LOCAL,
    POOL,
    STATE,
    FileFacts,
    Index,
    Indexer,
    Publisher,
    RepoPackage,
    dists_folder,
)
from builder.repo.publication import Publication, Published, plan_publication
from builder.repo.publish import open_publisher
from builder.repo.publish.claim import publishing_alone
from builder.repo.publish.execute import Destination, publish
from builder.repo.publish.folder import FolderPublisher
from builder.repo.repodata import RpmIndexer
from builder.repo.sign import Signer
from builder.spec import ReleaseSpec

Record = Mapping[PurePosixPath, Published]

_NOT_OF_INDEXES = {
    *("targets", "retention", "grace_hours", "channels", "provenance", "snapshots", "private"),
}
_FORMAT = 2  # of a channel's indexes; raise it when the same packages make different files


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
    state, config = repository.state, repository.config
    recorded = state.published(LOCAL)
    present = _present(FolderPublisher(repository.public), recorded, refresh=refresh)
    members = _members(repository, signer, now)
    kept: dict[PurePosixPath, FileFacts] = {}
    made: Index = {}
    indexed: dict[str, tuple[str, datetime]] = {}
    advisories = list_advisories(releases)
    for channel, packages in members.items():
        inputs = _inputs(repository, channel, packages, signer, advisories)
        before = state.indexed(channel)
        old = _kept_files(channel, recorded, present)
        # Without a new index, the date of validity would pass.
        dated = config_for(config, channel).channels[channel].valid_until_days is not None
        if before and before[0] == inputs and not dated and old and not refresh:
            kept |= old
            continue
        time = _time_of(channel, before[1] if before else now, now)
        made |= sign_index(_index_channel(repository, channel, packages, advisories, time), signer)
        indexed[channel] = (inputs, time)
    made |= index_key_files(config.name, make_key_files(repository, signer))
    made |= render_pages(config, members, releases, state.all_documents())
    made |= render_osv(advisories, state.packages())
    _add_changelogs(repository, present, kept, made)
    wanted = {**state.pool(), **kept, **{path: _facts(data) for path, data in made.items()}}
    publication = plan_publication(wanted, present, now, _grace(repository))
    _write(repository, publication, made, now)
    with state.transaction():
        state.record_deleted(LOCAL, set(recorded) - set(present) - set(wanted))
        for channel, (inputs, time) in indexed.items():
            state.record_indexed(channel, inputs, time)
    return publication


def _members(repository: Repository, signer: Signer, now: datetime) -> dict[str, list[RepoPackage]]:
    """Return the packages of each channel and snapshot.

    Signs the statements that nobody has signed and takes the snapshots that are due.
    """
    state, config = repository.state, repository.config
    sign_statements(repository, signer)
    for taken in take_snapshots(state, config.snapshots.channels, now):
        log.step(f"took snapshot {taken.name} of {taken.of}")
    snapshots = [snapshot.channel for snapshot in list_snapshots(state.channels())]
    return {channel: state.packages(channel) for channel in (*config.channels, *snapshots)}


def _known_then(advisories: Sequence[Advisory], channel: str) -> Sequence[Advisory]:
    """Return the advisories of a channel's index; a snapshot's are those of its day. Pure."""
    snapshot = parse_snapshot(channel)
    return [a for a in advisories if snapshot is None or a.entry.day <= snapshot.day]


def _time_of(channel: str, before: datetime, now: datetime) -> datetime:
    """Return the time that the indexes of a channel state; a snapshot's never changes."""
    return before if parse_snapshot(channel) else max(now, before)


def _present(publisher: Publisher, recorded: Record, *, refresh: bool) -> Record:
    """Return the recorded files that a place really has; ``refresh`` verifies their content."""
    if refresh:
        return {
            path: published
            for path, published in recorded.items()
            if publisher.has(path, published.facts)
        }
    if isinstance(publisher, FolderPublisher):
        return {p: published for p, published in recorded.items() if (publisher.root / p).is_file()}
    return recorded


def _inputs(
    repository: Repository,
    channel: str,
    packages: Sequence[RepoPackage],
    signer: Signer,
    advisories: Sequence[Advisory],
) -> str:
    """Return one hash of all inputs of a channel's indexes."""
    settings = repository.config.model_dump(mode="json", exclude=_NOT_OF_INDEXES)
    spec = config_for(repository.config, channel).channels[channel]
    own = spec.model_dump(mode="json", exclude={"retention"})
    members = [(package.sha256, str(package.pool)) for package in packages]
    on_it = advisories_key(_known_then(advisories, channel), packages)
    known = [*signer.fingerprints, on_it]
    rollouts = repository.state.rollouts(channel)
    phased = [[sha256, rollouts[sha256].percent] for sha256 in sorted(rollouts)]
    more: list[object] = [phased] if phased else []
    more += ["apt --snapshot"] if repository.config.snapshots.apt_option else []
    return key_of(_FORMAT, channel, settings, own, members, known, *more)


def _kept_files(channel: str, recorded: Record, present: Record) -> dict[PurePosixPath, FileFacts]:
    """Return the channel's index files unchanged; none if one of them is lost."""
    snapshot = parse_snapshot(channel)
    folders = [dists_folder(channel), PurePosixPath("rpm") / channel]
    folders += [snapshot.dists] if snapshot else []
    found = {
        path: published.facts
        for path, published in recorded.items()
        if published.retired is None and any(path.is_relative_to(folder) for folder in folders)
    }
    return found if all(path in present for path in found) else {}


def _add_changelogs(
    repository: Repository, present: Record, kept: dict[PurePosixPath, FileFacts], made: Index
) -> None:
    """Add the changelogs of all debs: to ``kept`` what is there already, else to ``made``."""
    debs = repository.state.packages(fmt=PackageFormat.DEB)
    facts = {path: published.facts for path, published in present.items()}
    places = {package: repository.public / package.pool for package in debs}
    listing = repository.state.listing
    old, new = find_changelogs(places, facts, listing)
    sources = {
        sha256: rollout.source
        for channel in repository.config.channels
        for sha256, rollout in repository.state.rollouts(channel).items()
    }
    known: dict[PurePosixPath, Path | bytes] = {
        **{place: repository.public / place for place in old},
        **new,
    }
    kept |= old
    made |= new | join_changelogs(places, sources, known, listing)


def _index_channel(
    repository: Repository,
    channel: str,
    packages: Sequence[RepoPackage],
    advisories: Sequence[Advisory],
    now: datetime,
) -> Index:
    state = repository.state
    log.step(f"indexing {channel}")
    indexers: dict[PackageFormat, Indexer] = {
        PackageFormat.DEB: AptIndexer(state.listing, state.rollouts(channel)),
        PackageFormat.RPM: RpmIndexer(state.listing, _known_then(advisories, channel)),
    }
    index: Index = {}
    for fmt, indexer in indexers.items():
        chosen = [package for package in packages if package.fmt is fmt]
        index |= indexer.index(channel, chosen, config_for(repository.config, channel), now)
    return index | _index_for_option(repository, channel, packages, now)


def _index_for_option(
    repository: Repository, channel: str, packages: Sequence[RepoPackage], now: datetime
) -> Index:
    """Return the indexes of a snapshot where ``apt --snapshot`` expects them, if repo.toml says so.

    The packages stay where they are: its addresses lead from there to the pool.
    """
    snapshot = parse_snapshot(channel)
    if snapshot is None or not repository.config.snapshots.apt_option:
        return {}
    config = config_for(repository.config, channel)
    plain = config.model_copy(update={"apt": config.apt.model_copy(update={"contents": False})})
    chosen = [package for package in packages if package.fmt is PackageFormat.DEB]
    indexer = AptIndexer(repository.state.listing, folder=snapshot.dists)
    return indexer.index(channel, chosen, plain, now)


def sign_index(index: Index, signer: Signer) -> Index:
    """Return the index with the signatures that its clients expect."""
    made: Index = dict(index)
    detached: dict[bytes, bytes] = {}  # the same bytes lie in two places
    for path, data in index.items():
        if path.name == "Release":
            made[path.with_name("InRelease")] = signer.clearsign(data)
            made[path.with_name("Release.gpg")] = signer.detach(data)
        elif path.name == "repomd.xml":
            if data not in detached:
                detached[data] = signer.detach(data)
            made[path.with_name("repomd.xml.asc")] = detached[data]
    return made


def _facts(data: bytes) -> FileFacts:
    return FileFacts(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def _grace(repository: Repository) -> timedelta:
    return timedelta(hours=repository.config.grace_hours)


def _write(repository: Repository, publication: Publication, made: Index, now: datetime) -> None:
    """Publish to ``public/``, whose pool has the packages already."""
    pool = {put.path: put.facts for put in publication.puts if put.path.is_relative_to(POOL)}
    local = FolderPublisher(repository.public)
    for path, facts in pool.items():
        if not local.has(path, facts):
            raise RepoError(
                f"{repository.public / path} is lost or damaged, but the repository has it "
                "on record",
                hint="add the package again from its artifact, or restore it from a target",
            )
    repository.state.record_put(LOCAL, pool)
    rest = replace(publication, puts=tuple(p for p in publication.puts if p.path not in pool))
    with workspace(repository.root) as work, storage_guard(repository.public):
        for put in rest.puts:
            (work / put.path).parent.mkdir(parents=True, exist_ok=True)
            (work / put.path).write_bytes(made[put.path])
        make_public_folder(repository.public)
        to = Destination(target=LOCAL, publisher=local, record=repository.state)
        publish(rest, to, source=work, now=now)


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
    state = repository.state
    wanted = {
        path: published.facts
        for path, published in state.published(LOCAL).items()
        if published.retired is None
    }
    publisher = open_publisher(targets[name], repository.root)
    note = repository.root / STATE / f"publishing-{name}.json"
    with publishing_alone(publisher, name, note, break_claims=break_lock):
        present = _present(publisher, state.published(name), refresh=refresh)
        publication = plan_publication(wanted, present, now, _grace(repository))
        to = Destination(target=name, publisher=publisher, record=state)
        publish(publication, to, source=repository.public, now=now)
    return publication
