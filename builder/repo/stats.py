"""How large a repository is, and how it grows: by channel, by package, by day. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from builder.repo.model import RepoPackage
from builder.repo.version import Newest, version_key


@dataclass(frozen=True, kw_only=True)
class PackageSize:
    """The newest version of a package in a channel, and what it gained on the one before."""

    name: str
    fmt: str
    arch: str
    version: str
    bytes: int
    versions: int
    grown_by: int | None  # bytes, against the version before; None: there is none


@dataclass(frozen=True, kw_only=True)
class ChannelSize:
    """A channel: its packages, and the bytes that only the newest versions take."""

    name: str
    packages: int
    bytes: int
    newest_bytes: int
    largest: tuple[PackageSize, ...]


@dataclass(frozen=True, kw_only=True)
class Stats:
    """The whole repository: a package that several channels have counts once."""

    packages: int
    bytes: int
    channels: tuple[ChannelSize, ...]
    added: Mapping[str, int]  # bytes by the day that brought them, the last day last

    def as_dict(self) -> dict[str, object]:
        """Return the numbers for JSON."""
        return asdict(self)


def make_stats(
    everything: Iterable[RepoPackage], channels: Mapping[str, Iterable[RepoPackage]]
) -> Stats:
    """Count what the repository has, and what each of its channels has; none is held."""
    days: defaultdict[str, int] = defaultdict(int)
    count = 0
    for package in everything:
        days[package.added.date().isoformat()] += package.size
        count += 1
    return Stats(
        packages=count,
        bytes=sum(days.values()),
        channels=tuple(_channel(name, packages) for name, packages in channels.items()),
        added={day: days[day] for day in sorted(days)},
    )


def _channel(name: str, packages: Iterable[RepoPackage]) -> ChannelSize:
    found: defaultdict[tuple[str, ...], Newest[RepoPackage]] = defaultdict(lambda: Newest(2))
    size = 0
    for package in packages:
        size += package.size
        key = version_key(package.fmt, package.version)
        found[package.fmt.value, package.name, package.arch].add(key, package)
    sizes = map(_package, found.values())
    return ChannelSize(
        name=name,
        packages=sum(versions.count for versions in found.values()),
        bytes=size,
        newest_bytes=sum(versions.held[0].size for versions in found.values()),
        largest=tuple(sorted(sizes, key=lambda size: (-size.bytes, size.name, size.fmt))),
    )


def _package(versions: Newest[RepoPackage]) -> PackageSize:
    newest, *older = versions.held
    return PackageSize(
        name=newest.name,
        fmt=newest.fmt.value,
        arch=newest.arch,
        version=newest.version,
        bytes=newest.size,
        versions=versions.count,
        grown_by=newest.size - older[0].size if older else None,
    )
