"""The indexes of one channel: what they are made of, what of them stays, and their signatures."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath

from builder.base import log
from builder.base.cache import key_of
from builder.base.model import PackageFormat
from builder.repo.advisories import Advisory, advisories_key
from builder.repo.apt import RELEASE, AptIndexer
from builder.repo.core import Repository
from builder.repo.dated import Snapshot, config_for, parse_snapshot
from builder.repo.model import FileFacts, dists_folder
from builder.repo.parts import Output
from builder.repo.publication import Record
from builder.repo.repodata import REPOMD, RpmIndexer
from builder.repo.sign import Signer
from builder.repo.spool import Spool
from builder.repo.state_packages import StoredPackages

_NOT_OF_INDEXES = {
    *("targets", "retention", "grace_hours", "channels", "provenance", "snapshots", "private"),
}
_FORMAT = 3  # of a channel's indexes; raise it when the same packages make different files


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A channel or snapshot, its packages, and the advisories that its readers may know."""

    name: str
    packages: StoredPackages
    advisories: Sequence[Advisory]

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot, if it is one."""
        return parse_snapshot(self.name)

    @property
    def known(self) -> Sequence[Advisory]:
        """The advisories of its index; a snapshot's are those of its day."""
        snapshot = self.snapshot
        return [a for a in self.advisories if snapshot is None or a.entry.day <= snapshot.day]


def inputs_key(repository: Repository, channel: Channel, signer: Signer) -> str:
    """Return one hash of all inputs of a channel's indexes."""
    config, packages = repository.config, channel.packages
    settings = config.model_dump(mode="json", exclude=_NOT_OF_INDEXES)
    spec = config_for(config, channel.name).channels[channel.name]
    own = spec.model_dump(mode="json", exclude={"retention"})
    members = hashlib.sha256()
    for place in packages.places():
        members.update(repr(place).encode())
    known = [*signer.fingerprints, advisories_key(channel.known, packages)]
    rollouts = repository.state.rollouts(channel.name)
    phased = [[sha256, rollouts[sha256].percent] for sha256 in sorted(rollouts)]
    more: list[object] = [phased] if phased else []
    more += ["apt --snapshot"] if config.snapshots.apt_option else []
    return key_of(_FORMAT, channel.name, settings, own, members.hexdigest(), known, *more)


def kept_files(
    channel: Channel, present: Record, lost: Iterable[PurePosixPath]
) -> dict[PurePosixPath, FileFacts]:
    """Return the channel's index files unchanged; none if one of them is lost."""
    folders = _folders(channel)
    if any(path.is_relative_to(folder) for path in lost for folder in folders):
        return {}
    return {
        path: published.facts
        for path, published in present.items()
        if published.retired is None and any(path.is_relative_to(folder) for folder in folders)
    }


def _folders(channel: Channel) -> list[PurePosixPath]:
    folders = [dists_folder(channel.name), PurePosixPath("rpm") / channel.name]
    return [*folders, channel.snapshot.dists] if channel.snapshot else folders


def index_channel(
    repository: Repository, channel: Channel, now: datetime, output: Output, kept: Record
) -> datetime:
    """Write the indexes of a channel, unsigned; returns the date of apt's.

    ``kept`` are files that are there, where a list that does not change keeps its time.
    """
    state, config = repository.state, config_for(repository.config, channel.name)
    log.step(f"indexing {channel.name}")

    def former(path: PurePosixPath) -> bytes | None:
        published = kept.get(path)
        if published is None or published.retired is not None:
            return None
        return (repository.public / path).read_bytes()

    # A snapshot never changes.
    apt_output = replace(output, pdiffs=None) if channel.snapshot else output
    apt = AptIndexer(apt_output, state.listing, state.rollouts(channel.name), former=former)
    date = apt.index(channel.name, channel.packages.where(fmt=PackageFormat.DEB), config, now)
    rpm = RpmIndexer(output, state.listing, channel.known, former)
    rpm.index(channel.name, channel.packages.where(fmt=PackageFormat.RPM), config, now)
    _index_for_option(repository, channel, now, output)
    return date


def _index_for_option(
    repository: Repository, channel: Channel, now: datetime, output: Output
) -> None:
    """Write the indexes of a snapshot where ``apt --snapshot`` expects them, if repo.toml says so.

    The packages stay where they are: its addresses lead from there to the pool.
    """
    snapshot = channel.snapshot
    if snapshot is None or not repository.config.snapshots.apt_option:
        return
    config = config_for(repository.config, channel.name)
    plain = config.model_copy(update={"apt": config.apt.model_copy(update={"contents": False})})
    indexer = AptIndexer(
        replace(output, pdiffs=None), repository.state.listing, folder=snapshot.dists
    )
    indexer.index(channel.name, channel.packages.where(fmt=PackageFormat.DEB), plain, now)


def sign_index(
    spool: Spool, signer: Signer, present: Record | None = None
) -> dict[PurePosixPath, FileFacts]:
    """Write the signatures that clients expect; returns those that stay.

    A file that is ``present`` as it is made keeps its signatures: they are by the same keys.
    """
    stay: dict[PurePosixPath, FileFacts] = {}
    detached: dict[bytes, bytes] = {}  # the same bytes lie in two places
    for path, digests in list(spool.files.items()):
        if path.name == RELEASE:
            signatures = [path.with_name("InRelease"), path.with_name(f"{RELEASE}.gpg")]
        elif path.name == REPOMD:
            signatures = [path.with_name(f"{REPOMD}.asc")]
        else:
            continue
        there = {name: (present or {}).get(name) for name in (path, *signatures)}
        standing = {n: p.facts for n, p in there.items() if p is not None and p.retired is None}
        if len(standing) == len(there) and standing[path] == digests.facts:
            stay |= standing
            continue
        data = spool.read(path)
        if data not in detached:
            detached[data] = signer.detach(data)
        spool.write(signatures[-1], detached[data])
        if path.name == RELEASE:
            spool.write(signatures[0], signer.clearsign(data))
    return stay
