"""How large a repository is, and how it grows: by channel, by package, by day. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from builder.repo.core import by_version
from builder.repo.model import RepoPackage


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
    everything: Sequence[RepoPackage], channels: Mapping[str, Sequence[RepoPackage]]
) -> Stats:
    """Count what the repository has, and what each of its channels has."""
    days: defaultdict[str, int] = defaultdict(int)
    for package in everything:
        days[package.added.date().isoformat()] += package.size
    return Stats(
        packages=len(everything),
        bytes=_sum(everything),
        channels=tuple(_channel(name, packages) for name, packages in channels.items()),
        added={day: days[day] for day in sorted(days)},
    )


def _channel(name: str, packages: Sequence[RepoPackage]) -> ChannelSize:
    groups = by_version(packages).values()
    sizes = [_package(group) for group in groups]
    return ChannelSize(
        name=name,
        packages=len(packages),
        bytes=_sum(packages),
        newest_bytes=_sum(group[0] for group in groups),
        largest=tuple(sorted(sizes, key=lambda size: (-size.bytes, size.name, size.fmt))),
    )


def _package(newest_first: Sequence[RepoPackage]) -> PackageSize:
    newest, *older = newest_first
    return PackageSize(
        name=newest.name,
        fmt=newest.fmt.value,
        arch=newest.arch,
        version=newest.version,
        bytes=newest.size,
        versions=len(newest_first),
        grown_by=newest.size - older[0].size if older else None,
    )


def _sum(packages: Iterable[RepoPackage]) -> int:
    return sum(package.size for package in packages)
