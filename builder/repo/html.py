"""The pages of a repository, for people: channels, packages, versions, how to install. Pure.

Plain files beside the indexes that load nothing from elsewhere: no fonts, no scripts, no
counters. ``setup/`` has the sources of each channel, which the commands on the pages fetch.
"""

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as Xml

from jinja2 import Environment
from packaging.version import Version as PythonVersion

from builder.base.pages import page_environment
from builder.base.words import size_text
from builder.inspect.deb822 import parse_fields, printable
from builder.repo.chart import HEIGHT, WIDTH, growth_bars
from builder.repo.config import RepoConfig
from builder.repo.dated import SNAPSHOTS, Snapshot, list_snapshots
from builder.repo.keyring import (
    deb_keyring,
    keyring_name,
    render_credentials,
    render_repo,
    render_sources,
    rpm_key,
)
from builder.repo.model import DebRecord, Index, RepoPackage, RpmRecord
from builder.repo.stats import make_stats
from builder.repo.version import deb_key
from builder.spec import ReleaseSpec

SETUP = PurePosixPath("setup")
_TEMPLATES = Path(__file__).parent / "templates"
_SHOWN_FIRST = "backendai"  # the package that most people want, if the repository has it
_VERSIONS_SHOWN = 50  # a longer page is of no use
_SIZES_SHOWN = 30  # largest packages of a channel
_DAYS_SHOWN = 10


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
    """A package with its versions, the newest first."""

    name: str
    summary: str
    versions: tuple[Version, ...]
    changes: tuple[Change, ...]

    def newest(self, channel: str) -> Version | None:
        """Return the package's newest version in a channel."""
        return next((version for version in self.versions if channel in version.channels), None)


@dataclass(frozen=True, kw_only=True)
class LineRow:
    """One release line, as the first page lists it."""

    name: str
    newest: Mapping[str, str]  # channel to version
    maintained: str  # until when


def render_pages(
    config: RepoConfig,
    packages: Mapping[str, Sequence[RepoPackage]],
    releases: Iterable[ReleaseSpec] = (),
    documents: Mapping[str, Sequence[PurePosixPath]] = MappingProxyType({}),
) -> Index:
    """Render every page by its place in the tree, and the sources that the pages link to.

    ``packages`` are by channel, snapshots included, ``documents`` by the sha256 of their
    package. The same arguments give the same bytes.
    """
    listed = list_packages({name: packages[name] for name in config.channels})
    snapshots = list_snapshots(packages)
    page = _Renderer(config)
    present = {
        name: [package for package in listed if package.newest(name)] for name in config.channels
    }
    pages = {
        PurePosixPath("index.html"): page(
            "index.html.j2",
            packages=listed,
            counts={name: len(some) for name, some in present.items()},
            lines=list_lines(listed, releases, tuple(config.channels)),
            root="",
        ),
        PurePosixPath("sizes.html"): page("sizes.html.j2", **_sizes(config, packages), root=""),
    }
    pages |= _channel_pages(page, present, snapshots)
    pages |= _snapshot_pages(page, packages, snapshots)
    pages |= _setup_files(config, (*present, *(snapshot.channel for snapshot in snapshots)))
    for package in listed:
        pages[PurePosixPath("packages") / f"{package.name}.html"] = page(
            "package.html.j2",
            package=package,
            shown=_VERSIONS_SHOWN,
            documents=documents,
            root="../",
        )
    return pages


class _Renderer:
    """Renders the templates of a repository's pages."""

    def __init__(self, config: RepoConfig) -> None:
        self.config = config
        self._environment = _environment()

    def __call__(self, template: str, **values: object) -> bytes:
        text = self._environment.get_template(template).render(config=self.config, **values)
        return printable(text).encode()


def _channel_pages(
    page: _Renderer, present: Mapping[str, Sequence[Listed]], snapshots: Sequence[Snapshot]
) -> Index:
    return {
        PurePosixPath("channels") / f"{channel}.html": page(
            "channel.html.j2",
            channel=channel,
            packages=some,
            install=_install(some, page.config),
            snapshots=[snapshot for snapshot in snapshots if snapshot.of == channel],
            deb_keyring=deb_keyring(page.config),
            rpm_key=rpm_key(page.config),
            root="../",
        )
        for channel, some in present.items()
    }


def _snapshot_pages(
    page: _Renderer, packages: Mapping[str, Sequence[RepoPackage]], snapshots: Sequence[Snapshot]
) -> Index:
    pages: Index = {}
    for name in dict.fromkeys(snapshot.name for snapshot in snapshots):
        parts = {
            snapshot: list_packages({snapshot.channel: packages[snapshot.channel]})
            for snapshot in snapshots
            if snapshot.name == name
        }
        path = SNAPSHOTS / name / "index.html"
        pages[path] = page("snapshot.html.j2", name=name, parts=parts, root="../../")
    return pages


def _setup_files(config: RepoConfig, channels: Iterable[str]) -> Index:
    """Return the files that the commands on the pages fetch."""
    files: Index = {}
    for channel in channels:
        files[SETUP / f"{channel}.sources"] = render_sources(config, channel).encode()
        files[SETUP / f"{channel}.repo"] = render_repo(config, channel).encode()
    if config.private:
        files[SETUP / "credentials.sh"] = render_credentials(config).encode()
    return files


def _sizes(config: RepoConfig, packages: Mapping[str, Sequence[RepoPackage]]) -> dict[str, object]:
    """Return what the page of sizes shows."""
    everything = {package.sha256: package for some in packages.values() for package in some}
    channels = {name: packages[name] for name in config.channels}
    stats = make_stats(list(everything.values()), channels)
    return {
        "stats": stats,
        "bars": growth_bars(stats.added),
        "width": WIDTH,
        "height": HEIGHT,
        "shown": _SIZES_SHOWN,
        "shown_days": _DAYS_SHOWN,
    }


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


def _release_order(release: ReleaseSpec) -> PythonVersion:
    return PythonVersion(release.version)


def _newest_of(packages: Sequence[Listed], line: str, channel: str) -> str | None:
    """Return the newest version of any package of a line in a channel."""
    files = [
        version.files[0]
        for package in packages
        for version in package.versions
        if channel in version.channels and version.version.startswith(f"{line}.")
    ]
    newest = max(files, key=lambda file: deb_key(file.version), default=None)
    return newest.version if newest else None


def _maintained(release: ReleaseSpec) -> str:
    until = release.maintained_until
    if until is None:
        return "no: to upgrade from it"
    return "yes" if until == "open" else f"until {until}"


def list_packages(packages: Mapping[str, Sequence[RepoPackage]]) -> list[Listed]:
    """Return the packages of all channels, by name."""
    channels: defaultdict[str, list[str]] = defaultdict(list)
    by_name: defaultdict[str, dict[str, RepoPackage]] = defaultdict(dict)
    for channel, members in packages.items():
        for package in members:
            channels[package.sha256].append(channel)
            by_name[package.name][package.sha256] = package
    return [_listed(name, by_name[name].values(), channels) for name in sorted(by_name)]


def _listed(
    name: str, packages: Iterable[RepoPackage], channels: Mapping[str, Sequence[str]]
) -> Listed:
    groups: defaultdict[str, list[RepoPackage]] = defaultdict(list)
    for package in packages:
        groups[package.version].append(package)
    # Both formats order the versions that we build in the same way.
    newest_first = sorted(
        groups.values(), key=lambda files: deb_key(files[0].version), reverse=True
    )
    versions = tuple(
        Version(
            version=files[0].version,
            channels=tuple(dict.fromkeys(name for file in files for name in channels[file.sha256])),
            files=tuple(sorted(files, key=lambda file: (file.fmt, file.arch))),
        )
        for files in newest_first
    )
    records = (file.record for version in versions for file in version.files)
    rpm = next((record for record in records if isinstance(record, RpmRecord)), None)
    return Listed(
        name=name,
        summary=_summary(versions[0].files[0]),
        versions=versions,
        changes=_changes(rpm) if rpm else (),
    )


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


def _install(packages: Sequence[Listed], config: RepoConfig) -> list[str]:
    """Return the packages to install: the keyring, which brings new keys, and an example."""
    keyring = keyring_name(config)
    names = [package.name for package in packages]
    others = [name for name in names if name != keyring]
    example = _SHOWN_FIRST if _SHOWN_FIRST in others or not others else others[0]
    return [*(name for name in names if name == keyring), example]


@functools.cache
def _environment() -> Environment:
    environment = page_environment(_TEMPLATES)
    environment.filters["place"] = lambda path: quote(str(path))
    environment.filters["size"] = size_text
    environment.filters["day"] = lambda time: f"{time:%Y-%m-%d}"
    filters: dict[str, Any] = environment.filters
    filters["groups"] = lambda text: " ".join(text[at : at + 4] for at in range(0, len(text), 4))
    return environment
