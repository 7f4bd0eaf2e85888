"""apt's indexes of a channel: Packages, Contents, by-hash, and the Release that names them.

The indexes are joined from records made when packages were added; no package is opened
here. The same packages and time give the same bytes.
"""

import gzip
import hashlib
import lzma
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import PurePosixPath
from types import MappingProxyType

import zstandard

from builder.base.model import Arch
from builder.inspect.deb822 import decode, encode, parse_fields, split_control
from builder.repo.changelogs import changelogs_field
from builder.repo.config import IndexCompression, RepoConfig
from builder.repo.dated import APT_SNAPSHOTS
from builder.repo.model import (
    DebRecord,
    Index,
    Listings,
    RepoPackage,
    Rollout,
    archive_root,
    dists_folder,
)
from builder.repo.version import compare_deb

# apt uses the strongest hash that Release has.
_HASHES = ("SHA256", "SHA512")
_SECTION = re.compile(r"[A-Za-z0-9.+/_-]+")
# Packages is so repetitive that a higher level gains little: 3 takes a third of 6's time.
_XZ_PRESET = 3
_GZIP_LEVEL = 6
_ZSTD_LEVEL = 10


class AptIndexer:
    """Makes the indexes of apt; ``listings`` returns the paths of a deb.

    ``rollouts`` are by the package's sha256; ``folder`` is that of the indexes, if it is not the
    channel's own.
    """

    def __init__(
        self,
        listings: Listings,
        rollouts: Mapping[str, Rollout] = MappingProxyType({}),
        folder: PurePosixPath | None = None,
    ) -> None:
        self._listings = listings
        self._rollouts = rollouts
        self._folder = folder

    def index(
        self, channel: str, packages: Sequence[RepoPackage], config: RepoConfig, now: datetime
    ) -> Index:
        """Return every metadata file of a channel by its place in the tree; Release is unsigned."""
        named: Index = {}
        described: Index = {}
        folder = self._folder or dists_folder(channel)
        up = "../" * len(archive_root(folder).parts)
        for component in config.components:
            for arch in config.architectures:
                chosen = [
                    package
                    for package in packages
                    if package.component == component and package.fits(arch)
                ]
                named |= self._packages(PurePosixPath(component), arch, chosen, config, up)
                if config.apt.contents:
                    contents = PurePosixPath(component) / f"Contents-{arch}"
                    described[contents] = render_contents(chosen, self._listings)
        for path, data in described.items():
            for compression in config.apt.compressions or (IndexCompression.GZIP,):
                named[path.with_suffix(f".{compression}")] = compress(data, compression)
        index = {folder / path: data for path, data in named.items()}
        for path, data in named.items():
            for name in _HASHES:
                index[folder / path.parent / "by-hash" / name / _digest(name, data)] = data
        # apt fetches Contents only if Release lists its plain form, which is never fetched.
        index[folder / "Release"] = render_release(channel, named | described, config, now)
        return index

    def _packages(
        self,
        component: PurePosixPath,
        arch: Arch,
        packages: Sequence[RepoPackage],
        config: RepoConfig,
        up: str,
    ) -> Index:
        rollouts = self._rollouts
        plain = encode("\n".join(stanza(p, rollouts.get(p.sha256), up) for p in packages))
        path = component / f"binary-{arch}" / "Packages"
        files: Index = {path: plain}
        for compression in config.apt.compressions:
            files[path.with_suffix(f".{compression}")] = compress(plain, compression)
        return files


def stanza(package: RepoPackage, rollout: Rollout | None = None, up: str = "") -> str:
    """Return a package as Packages has it; ``up`` leads from the archive to the pool."""
    control = _control(package)
    if rollout is not None:
        control = _phased(control, rollout)
    facts = f"Size: {package.size}\nSHA256: {package.sha256}\n"
    return f"{control}Filename: {up}{package.pool}\n{facts}"


def _phased(control: str, rollout: Rollout) -> str:
    """Return the paragraph with its place in a rollout, in place of its own source package."""
    own = ("source", "phased-update-percentage")
    lines = [
        line for field in split_control(control) if field.key not in own for line in field.lines
    ]
    lines += [f"Source: {rollout.source}", f"Phased-Update-Percentage: {rollout.percent}"]
    return "".join(f"{line}\n" for line in lines)


def _control(package: RepoPackage) -> str:
    assert isinstance(package.record, DebRecord)
    return package.record.control


def render_contents(packages: Sequence[RepoPackage], listings: Listings) -> bytes:
    """Render Contents: the package of each file, for the newest version of each package."""
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for package in newest(packages):
        section = parse_fields(_control(package)).get("section", "")
        owner = f"{section if _SECTION.fullmatch(section) else 'misc'}/{package.name}"
        for path in filter(None, decode(listings(package.sha256)).split("\n")):
            owners[path].append(owner)
    rows = (f"{path:<55} {','.join(sorted(names))}\n" for path, names in sorted(owners.items()))
    return encode("".join(rows))


def newest(packages: Sequence[RepoPackage]) -> list[RepoPackage]:
    """Return the newest version of each package, by name."""
    found: dict[str, RepoPackage] = {}
    for package in packages:
        known = found.get(package.name)
        if known is None or compare_deb(known.version, package.version) < 0:
            found[package.name] = package
    return [found[name] for name in sorted(found)]


def render_release(channel: str, named: Index, config: RepoConfig, now: datetime) -> bytes:
    """Render the Release of a channel, which lists every index with its hashes."""
    spec = config.channels[channel]
    fields = {
        "Origin": config.origin,
        "Label": config.label,
        "Suite": channel.rpartition("/")[2],  # of a snapshot, the channel it was taken of
        "Codename": channel,
        "Date": _date(now),
        **(
            {"Valid-Until": _date(now + timedelta(days=spec.valid_until_days))}
            if spec.valid_until_days
            else {}
        ),
        "Acquire-By-Hash": "yes",
        "Changelogs": changelogs_field(config),
        **(
            {"Snapshots": f"{config.base_url}/{APT_SNAPSHOTS}"}
            if config.snapshots.apt_option
            else {}
        ),
        "No-Support-for-Architecture-all": "Packages",
        "Architectures": " ".join(sorted(config.architectures)),
        "Components": " ".join(config.components),
        "Description": spec.description or f"{config.label}, {channel}",
    }
    lines = [f"{name}: {value}" for name, value in fields.items()]
    for name in _HASHES:
        lines += [f"{name}:", *_hash_rows(name, named)]
    return "".join(f"{line}\n" for line in lines).encode()


def _snapshots(config: RepoConfig) -> dict[str, str]:
    """Return the field that names the address of snapshots for ``apt --snapshot``, if served."""
    served = config.snapshots.apt_option
    return {"Snapshots": f"{config.base_url}/{APT_SNAPSHOTS}"} if served else {}


def _hash_rows(name: str, named: Index) -> Iterator[str]:
    for path in sorted(named):
        yield f" {_digest(name, named[path])} {len(named[path]):>16} {path}"


def _digest(name: str, data: bytes) -> str:
    return hashlib.new(name.lower(), data).hexdigest()


def _date(time: datetime) -> str:
    # Not strftime: %a and %b follow the locale.
    return format_datetime(time.astimezone(UTC), usegmt=True).replace("GMT", "UTC")


def compress(data: bytes, compression: IndexCompression) -> bytes:
    """Compress ``data``, without a time or a name in the result."""
    match compression:
        case IndexCompression.GZIP:
            return gzip.compress(data, _GZIP_LEVEL, mtime=0)
        case IndexCompression.XZ:
            return lzma.compress(data, preset=_XZ_PRESET)
        case IndexCompression.ZSTD:
            compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True)
            return compressor.compress(data)
