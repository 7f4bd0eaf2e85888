"""The pages of a repository: what they say, that links lead somewhere, and nothing abroad."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import PurePosixPath
from posixpath import normpath

import pytest

from builder.base.model import PackageFormat
from builder.base.words import size_text
from builder.inspect.identity import Identity
from builder.repo.catalog import list_packages
from builder.repo.chart import growth_bars
from builder.repo.config import RepoConfig
from builder.repo.html import render_pages
from builder.repo.model import (
    DebRecord,
    Index,
    IndexRecord,
    RepoPackage,
    RpmRecord,
    pool_path,
)
from builder.repo.packages import HeldPackages
from builder.repo.publication import Phase, phase_of
from builder.spec import ReleaseSpec, Spec

_KEY = "0123456789ABCDEF0123456789ABCDEF01234567"
_VOID = {"meta", "link", "br"}

_CONFIG = RepoConfig.model_validate(
    {
        "name": "backendai",
        "origin": "Backend.AI",
        "label": "Backend.AI & friends",
        "base-url": "https://packages.example.com",
        "channels": {"stable": {"description": "For <production>"}, "nightly": {}},
        "signing": {"keys": [_KEY]},
    }
)


def _primary(name: str, summary: str) -> str:
    return f"<package><name>{name}</name><summary>{summary}</summary><rpm:x/></package>"


def _other(version: str) -> str:
    return (
        '<package><changelog author="P &lt;p@localhost&gt; - 25.0-1" date="1700000000">- Old.'
        f'</changelog><changelog author="P &lt;p@localhost&gt; - {version}" date="1795392000">'
        "- Fixes &lt;all&gt;.\n- And more.</changelog></package>"
    )


def _package(name: str, version: str, fmt: PackageFormat, arch: str) -> RepoPackage:
    file = f"{name}_{version}_{arch}.{fmt}"
    record: IndexRecord = DebRecord(
        control=f"Package: {name}\nDescription: what <{name}> does\n more text\n"
    )
    if fmt is PackageFormat.RPM:
        record = RpmRecord(primary=_primary(name, f"what {name} does"), other=_other(version))
    identity = Identity(fmt=fmt, name=name, version=version, arch=arch)
    return RepoPackage(
        name=name,
        version=version,
        arch=arch,
        component="main",
        file=file,
        pool=pool_path("main", identity),
        sha256=hashlib.sha256(file.encode()).hexdigest(),
        size=120_400_000,
        added=datetime(2026, 11, 20, 8, 0, tzinfo=UTC),
        record=record,
    )


_OLD = _package("backendai-manager", "26.9.5-1", PackageFormat.DEB, "amd64")
_DEB = _package("backendai-manager", "26.9.6~rc1-1", PackageFormat.DEB, "amd64")
_NEW = _package("backendai-manager", "26.9.6-1", PackageFormat.DEB, "amd64")
_RPM = _package("backendai-manager", "26.9.6-1", PackageFormat.RPM, "x86_64")
_EXTRA = _package("a+b", "26.10.0-1", PackageFormat.DEB, "all")
_CHANNELS = {"stable": [_OLD, _NEW, _RPM], "nightly": [_OLD, _DEB, _NEW, _EXTRA]}


class _Checker(HTMLParser):
    """Sees that tags are closed in order; collects links and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text.append(data)


def _read(page: bytes) -> _Checker:
    checker = _Checker()
    checker.feed(page.decode())
    checker.close()
    assert not checker.open
    return checker


def _text(page: bytes) -> str:
    return " ".join("".join(_read(page).text).split())


def _held(channels: Mapping[str, Sequence[RepoPackage]]) -> dict[str, HeldPackages]:
    return {
        name: HeldPackages(sorted(packages, key=lambda p: (p.fmt, p.name, p.version, p.arch)))
        for name, packages in channels.items()
    }


def _render(
    channels: Mapping[str, Sequence[RepoPackage]], releases: Collection[ReleaseSpec] = ()
) -> Index:
    everything = {package.sha256: package for some in channels.values() for package in some}
    return render_pages(_CONFIG, _held(channels), everything.values(), releases)


@pytest.fixture(scope="module")
def pages() -> Index:
    """The pages of a repository with two channels."""
    return _render(_CHANNELS)


def test_there_is_a_page_for_each_channel_and_package(pages: Index) -> None:
    assert {str(path) for path in pages} == {
        "index.html",
        "sizes.html",
        "channels/stable.html",
        "channels/nightly.html",
        "setup/stable.sources",
        "setup/stable.repo",
        "setup/nightly.sources",
        "setup/nightly.repo",
        "packages/backendai-manager.html",
        "packages/a+b.html",
    }
    assert {phase_of(path) for path in pages} == {Phase.PAGE}


def test_every_link_leads_somewhere_inside(pages: Index) -> None:
    pool = {str(member.pool) for members in _CHANNELS.values() for member in members}
    places = {str(path) for path in pages} | pool | {"keys/backendai.asc"}
    for path, page in pages.items():
        if path.suffix != ".html":
            continue
        links = _read(page).links
        assert links
        for link in links:
            target = normpath(str(path.parent / link.replace("%2B", "+")))
            assert target in places, f"{path}: {link}"


def test_nothing_comes_from_elsewhere(pages: Index) -> None:
    for path, page in pages.items():
        addresses = set(re.findall(r"https?://[^/\s\"'<]+", page.decode()))
        assert addresses <= {"https://packages.example.com"}, path
        assert b"@import" not in page
        assert b"url(" not in page


def test_the_first_page_names_the_newest_versions(pages: Index) -> None:
    text = _text(pages[PurePosixPath("index.html")])
    assert "Backend.AI & friends" in text
    assert "For <production>" in text
    assert "backendai-manager 26.9.6-1 26.9.6-1 what" in text
    assert "a+b \N{EN DASH} 26.10.0-1 what <a+b> does" in text
    assert "0123 4567 89AB" in text


def test_the_first_page_says_how_long_lines_are_maintained(real_spec: Spec) -> None:
    """The newest of each channel; a line without packages is not listed, nor one twice."""
    lts = _package("backendai-manager", "26.4.16-1", PackageFormat.DEB, "amd64")
    older = _package("backendai-manager", "26.4.9-3", PackageFormat.DEB, "amd64")
    channels = {"stable": [_NEW, lts, older], "nightly": [older]}
    chosen = [real_spec.releases[name] for name in ("26.3", "26.4", "26.9.5", "26.9")]
    pages = _render(channels, chosen)
    text = _text(pages[PurePosixPath("index.html")])
    _, found, after = text.partition("Release lines")
    assert found
    listed = after.partition("Packages")[0]
    assert "26.9 26.9.6-1 \N{EN DASH} yes" in listed
    assert "26.4 26.4.16-1 26.4.9-3 until 2027-04-30" in listed
    assert "26.3" not in listed
    assert listed.count("26.9.6-1") == 1
    none = _text(_render(channels)[PurePosixPath("index.html")])
    assert "Release lines" not in none


def test_a_channel_says_how_to_install_from_it(pages: Index) -> None:
    text = _text(pages[PurePosixPath("channels/nightly.html")])
    base = "https://packages.example.com"
    for command in (
        f"-fsSLo /usr/share/keyrings/backendai-archive-keyring.gpg {base}/keys/backendai.gpg",
        f"sudo curl -fsSLo /etc/apt/sources.list.d/backendai.sources {base}/setup/nightly.sources",
        "sudo apt install a+b",
        f"sudo curl -fsSLo /etc/yum.repos.d/backendai.repo {base}/setup/nightly.repo",
        f"sudo zypper addrepo {base}/setup/nightly.repo",
    ):
        assert command in text
    assert "a+b" not in _text(pages[PurePosixPath("channels/stable.html")])


def test_the_keyring_is_installed_too_where_there_is_one() -> None:
    keyring = _package("backendai-archive-keyring", "2026.11.1-1", PackageFormat.DEB, "all")
    pages = _render({"stable": [keyring, _NEW], "nightly": []})
    text = _text(pages[PurePosixPath("channels/stable.html")])
    assert "sudo apt install backendai-archive-keyring backendai-manager" in text


def test_the_sources_that_the_commands_fetch_are_of_that_channel(pages: Index) -> None:
    assert b"Suites: nightly" in pages[PurePosixPath("setup/nightly.sources")]
    assert b"/rpm/nightly/main/" in pages[PurePosixPath("setup/nightly.repo")]


def test_a_package_lists_versions_newest_first_with_its_changelog(pages: Index) -> None:
    text = _text(pages[PurePosixPath("packages/backendai-manager.html")])
    headings = ("26.9.6-1 stable nightly", "26.9.6~rc1-1 nightly", "26.9.5-1 stable nightly")
    order = [text.index(heading) for heading in headings]
    assert order == sorted(order)
    assert "sudo apt install backendai-manager=26.9.6-1 && sudo apt-mark hold" in text
    assert "sudo dnf install backendai-manager-26.9.6-1 && sudo dnf versionlock add" in text
    assert "dnf" not in _text(pages[PurePosixPath("packages/a+b.html")])
    assert "120.4 MB" in text
    assert _NEW.sha256 in text
    assert "Fixes <all>. And more." in text
    assert text.index("Fixes") < text.index("Old.")
    assert "2026-11-23" in text


def test_a_page_does_not_grow_without_end() -> None:
    many = [_package("tool", f"1.{n}-1", PackageFormat.DEB, "all") for n in range(1002)]
    pages = _render({"stable": many, "nightly": []})
    page = pages[PurePosixPath("packages/tool.html")]
    text = _text(page)
    assert "tool_1.1001-1_all.deb" in text
    assert "tool_1.951-1_all.deb" not in text
    assert "And 952 older versions" in text


def test_versions_are_joined_over_formats_and_channels() -> None:
    (_, manager) = list_packages(_held(_CHANNELS))
    newest = manager.versions[0]
    assert newest.files == (_NEW, _RPM)
    assert newest.channels == ("stable", "nightly")
    assert [version.version for version in manager.versions] == [
        "26.9.6-1",
        "26.9.6~rc1-1",
        "26.9.5-1",
    ]
    assert manager.newest("stable") == newest


def test_an_empty_repository_has_pages_too() -> None:
    pages = _render({"stable": [], "nightly": []})
    assert "No packages yet." in _text(pages[PurePosixPath("index.html")])
    assert "sudo apt install backendai" in _text(pages[PurePosixPath("channels/stable.html")])


def test_sizes_and_growth_are_drawn_without_a_script() -> None:
    first = replace(_OLD, added=_OLD.added - timedelta(days=3), size=40_000_000)
    channels = {"stable": [first, _NEW], "nightly": [first]}
    page = _render(channels)[PurePosixPath("sizes.html")]
    text = _text(page)
    assert "2 packages, 160.4 MB." in text
    assert "from 40.0 MB on 2026-11-17 to 160.4 MB on 2026-11-20" in text
    assert "2026-11-20 120.4 MB 160.4 MB 2026-11-17 40.0 MB 40.0 MB" in text
    assert "backendai-manager 26.9.6-1 deb amd64 120.4 MB +80.4 MB 2" in text
    assert "backendai-manager 26.9.5-1 deb amd64 40.0 MB \N{EN DASH} 1" in text
    bars = re.findall(
        r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)">', page.decode()
    )
    assert [[float(number) for number in bar] for bar in bars] == [
        [0.0, 120.1, 240.0, 39.9],
        [300.0, 0.0, 240.0, 160.0],
    ]
    empty = _text(_render({"stable": [], "nightly": []})[PurePosixPath("sizes.html")])
    assert "Growth" not in empty.replace("Sizes and growth", "")


def test_a_chart_has_an_end() -> None:
    days = {f"2026-{month:02}-{day:02}": 1 for month in range(1, 5) for day in range(1, 29)}
    bars = growth_bars(days)
    assert len(bars) == 60
    assert (bars[0].bytes, bars[-1].bytes) == (53, 112)
    assert growth_bars({}) == []
    assert growth_bars({"2026-01-01": 0})[0].height == 0


def test_same_arguments_give_the_same_bytes(pages: Index) -> None:
    assert _render(_CHANNELS) == pages
    renamed = {"stable": [replace(_NEW, file="b.deb")], "nightly": []}
    assert _render(renamed) != pages


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (120_400_000, "120.4 MB"), (5e12, "5000.0 GB")],
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert size_text(size) == text
