"""The pages of a repository, for people: channels, packages, versions, how to install. Pure.

Plain files beside the indexes that load nothing from elsewhere: no fonts, no scripts, no
counters. ``setup/`` has the sources of each channel, which the commands on the pages fetch.
"""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from jinja2 import Environment

from builder.base.pages import page_environment
from builder.base.words import size_text
from builder.inspect.deb822 import printable
from builder.repo.catalog import Listed, list_lines, list_packages
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
from builder.repo.model import Index, RepoPackage
from builder.repo.packages import Packages
from builder.repo.stats import make_stats
from builder.spec import ReleaseSpec

SETUP = PurePosixPath("setup")
_TEMPLATES = Path(__file__).parent / "templates"
_SHOWN_FIRST = "backendai"  # the package that most people want, if the repository has it
_SIZES_SHOWN = 30  # largest packages of a channel
_DAYS_SHOWN = 10


def _no_documents(_sha256: str) -> Iterable[PurePosixPath]:
    return ()


def render_pages(
    config: RepoConfig,
    packages: Mapping[str, Packages],
    everything: Iterable[RepoPackage],
    releases: Collection[ReleaseSpec] = (),
    documents: Callable[[str], Iterable[PurePosixPath]] = _no_documents,
) -> Index:
    """Render every page by its place in the tree, and the sources that the pages link to.

    ``packages`` are by channel, snapshots included; ``everything`` has each of them once.
    ``documents`` returns those of the package with a sha256. The same arguments give the same
    bytes.
    """
    lines = {release.line for release in releases}
    listed = list_packages({name: packages[name] for name in config.channels}, lines)
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
        PurePosixPath("sizes.html"): page(
            "sizes.html.j2", **_sizes(config, packages, everything), root=""
        ),
    }
    pages |= _channel_pages(page, present, snapshots)
    pages |= _snapshot_pages(page, packages, snapshots)
    pages |= _setup_files(config, (*present, *(snapshot.channel for snapshot in snapshots)))
    for package in listed:
        pages[PurePosixPath("packages") / f"{package.name}.html"] = page(
            "package.html.j2", package=package, documents=documents, root="../"
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
    page: _Renderer, packages: Mapping[str, Packages], snapshots: Sequence[Snapshot]
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


def _sizes(
    config: RepoConfig, packages: Mapping[str, Packages], everything: Iterable[RepoPackage]
) -> dict[str, object]:
    """Return what the page of sizes shows."""
    stats = make_stats(everything, {name: packages[name] for name in config.channels})
    return {
        "stats": stats,
        "bars": growth_bars(stats.added),
        "width": WIDTH,
        "height": HEIGHT,
        "shown": _SIZES_SHOWN,
        "shown_days": _DAYS_SHOWN,
    }


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
