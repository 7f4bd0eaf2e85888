"""What the pages list: packages with their newest versions over formats and channels. Pure.

Of any number of versions those are held that a page shows.
"""

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby, repeat
from xml.etree import ElementTree as Xml

from packaging.version import Version as PythonVersion

from builder.base.model import PackageFormat
from builder.inspect.deb822 import parse_fields
from builder.repo.model import DebRecord, RepoPackage, RpmRecord
from builder.repo.packages import Packages
from builder.repo.version import Newest, deb_key
from builder.spec import ReleaseSpec

VERSIONS_SHOWN = 50  # a longer page is of no use


@dataclass(frozen=True, kw_only=True)
class Change:
    """One entry of a changelog."""

    day: date
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a package in every format and architecture."""

    version: str
    channels: tuple[str, ...]
    files: tuple[RepoPackage, ...]

    @property
    def added(self) -> datetime:
        """The time when its first file was added."""
        return min(file.added for file in self.files)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A package with its newest versions."""

    name: str
    summary: str
    versions: tuple[Version, ...]  # the newest first
    older: int  # versions that are not among them
    changes: tuple[Change, ...]
    in_channels: Mapping[str, Version]  # the newest
    in_lines: Mapping[tuple[str, str], str]  # the newest, by the line and the channel

    def newest(self, channel: str) -> Version | None:
        """Return the package's newest version in a channel."""
        return self.in_channels.get(channel)


@dataclass(frozen=True, kw_only=True)
class LineRow:
    """One release line, as the first page lists it."""

    name: str
    newest: Mapping[str, str]  # channel to version
    maintained: str  # until when


def list_lines(
    packages: Sequence[Listed], releases: Iterable[ReleaseSpec], channels: Sequence[str]
) -> list[LineRow]:
    """Return the release lines that the repository has packages of, the newest first."""
    newest_first = sorted(
        releases, key=lambda release: PythonVersion(release.version), reverse=True
    )
    rows: dict[str, LineRow] = {}
    for release in newest_first:
        found = {channel: _newest_of(packages, release.line, channel) for channel in channels}
        newest = {channel: version for channel, version in found.items() if version}
        if newest and release.line not in rows:
            rows[release.line] = LineRow(
                name=release.line, newest=newest, maintained=_maintained(release)
            )
    return list(rows.values())


def _newest_of(packages: Sequence[Listed], line: str, channel: str) -> str | None:
    """Return the newest version of any package of a line in a channel."""
    found = (package.in_lines.get((line, channel)) for package in packages)
    return max(filter(None, found), key=deb_key, default=None)


def _maintained(release: ReleaseSpec) -> str:
    until = release.maintained_until
    if until is None:
        return "no: to upgrade from it"
    return "yes" if until == "open" else f"until {until}"


def list_packages(packages: Mapping[str, Packages], lines: Collection[str] = ()) -> list[Listed]:
    """Return the packages of all channels, by name, with the newest version of each line."""
    names = sorted({name for some in packages.values() for name in some.names()})
    return [_listed(name, packages, lines) for name in names]


def _listed(name: str, packages: Mapping[str, Packages], lines: Collection[str]) -> Listed:
    newest: Newest[Version] = Newest(VERSIONS_SHOWN)
    in_channels: defaultdict[str, Newest[Version]] = defaultdict(lambda: Newest(1))
    in_lines: defaultdict[tuple[str, str], Newest[Version]] = defaultdict(lambda: Newest(1))
    with_rpm: Newest[Version] = Newest(1)
    for version in _versions(name, packages):
        # Both formats order the versions that we build in the same way.
        key = deb_key(version.version)
        newest.add(key, version)
        own = [line for line in lines if version.version.startswith(f"{line}.")]
        for channel in version.channels:
            in_channels[channel].add(key, version)
            for line in own:
                in_lines[line, channel].add(key, version)
        if any(file.fmt is PackageFormat.RPM for file in version.files):
            with_rpm.add(key, version)
    versions = newest.held
    records = (file.record for version in with_rpm.held for file in version.files)
    rpm = next((record for record in records if isinstance(record, RpmRecord)), None)
    return Listed(
        name=name,
        summary=_summary(versions[0].files[0]),
        versions=versions,
        older=newest.count - len(versions),
        changes=_changes(rpm) if rpm else (),
        in_channels={channel: found.held[0] for channel, found in in_channels.items()},
        in_lines={row: found.held[0].version for row, found in in_lines.items()},
    )


def _versions(name: str, packages: Mapping[str, Packages]) -> Iterator[Version]:
    """Yield the versions of a package, sorted as text, with the channels that have a file."""
    members = [
        zip(repeat(channel), some.where(fmt=fmt, name=name))
        for channel, some in packages.items()
        for fmt in PackageFormat
    ]
    for version, rows in groupby(heapq.merge(*members, key=_version), key=_version):
        channels: defaultdict[str, list[str]] = defaultdict(list)
        files: dict[str, RepoPackage] = {}
        for channel, package in rows:
            channels[package.sha256].append(channel)
            files[package.sha256] = package
        yield Version(
            version=version,
            channels=tuple(dict.fromkeys(name for file in files for name in channels[file])),
            files=tuple(sorted(files.values(), key=lambda file: (file.fmt, file.arch))),
        )


def _version(member: tuple[str, RepoPackage]) -> str:
    return member[1].version


def _summary(package: RepoPackage) -> str:
    match package.record:
        case DebRecord(control=control):
            return parse_fields(control).get("description", "").partition("\n")[0]
        case RpmRecord(primary=primary):
            return _parse_fragment(primary).findtext("summary", "")


def _changes(record: RpmRecord) -> tuple[Change, ...]:
    """Return the changelog of an rpm, the newest entry first; a deb keeps its own inside."""
    entries = _parse_fragment(record.other).iter("changelog")
    found = [
        Change(
            day=datetime.fromtimestamp(int(entry.get("date", "0")), UTC).date(),
            title=entry.get("author", ""),
            lines=tuple(line.removeprefix("- ") for line in (entry.text or "").splitlines()),
        )
        for entry in entries
    ]
    return tuple(sorted(found, key=lambda change: change.day, reverse=True))


def _parse_fragment(text: str) -> Xml.Element:
    # An index declares the prefix once for all packages, in the element around them.
    return Xml.fromstring(f'<x xmlns:rpm="http://linux.duke.edu/metadata/rpm">{text}</x>')[0]
