"""An open repository, and the promotion and pruning of its packages.

Nothing here touches an index: readers see a change when the tree is made anew
(:mod:`builder.repo.indexing`) and published.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from builder.base import log
from builder.base.errors import UsageError
from builder.base.storage import storage_guard
from builder.repo.config import RepoConfig, load_config
from builder.repo.dated import list_snapshots, outdated_snapshots
from builder.repo.model import LOCAL, POOL, PUBLIC, STATE, RepoPackage
from builder.repo.state import State, open_state
from builder.repo.version import version_key

_WORK = "tmp"  # below the state's folder


@dataclass(frozen=True, kw_only=True)
class Repository:
    """An open repository, which no other process can change."""

    root: Path
    config: RepoConfig
    state: State

    @property
    def public(self) -> Path:
        """The folder with the tree as readers see it."""
        return self.root / PUBLIC

    def channel(self, name: str) -> str:
        """Return ``name`` if it is a channel; raises UsageError otherwise."""
        if name not in self.config.channels:
            raise UsageError(
                f"the repository has no channel '{name}'",
                hint=f"it has: {', '.join(self.config.channels)}",
            )
        return name


@contextmanager
def open_repository(root: Path) -> Iterator[Repository]:
    """Open and lock the repository in ``root``; raises if it is absent or its config is wrong."""
    config = load_config(root)
    with open_state(root) as state:
        shutil.rmtree(root / STATE / _WORK, ignore_errors=True)  # left by a killed process
        yield Repository(root=root, config=config, state=state)


@contextmanager
def workspace(root: Path) -> Iterator[Path]:
    """Yield a scratch folder on the repository's own file system."""
    work = root / STATE / _WORK
    with storage_guard(work):
        work.mkdir(parents=True, exist_ok=True)
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def promote_packages(
    repository: Repository, words: Sequence[str], source: str, target: str, *, move: bool = False
) -> list[RepoPackage]:
    """Make packages of one channel members of another, too; returns the new members.

    ``move`` ends their membership of the first channel. A word is NAME, which means its
    newest version, or NAME=VERSION. Raises UsageError for a word that fits no package.
    """
    present = repository.state.packages(repository.channel(source))
    chosen = [package for word in words for package in _matching(present, word, source)]
    there = {package.sha256 for package in repository.state.packages(repository.channel(target))}
    fresh = [package for package in dict.fromkeys(chosen) if package.sha256 not in there]
    with repository.state.transaction():
        repository.state.join(target, [package.sha256 for package in fresh])
        if move and source != target:
            repository.state.leave(source, [package.sha256 for package in chosen])
    return fresh


def _matching(present: Sequence[RepoPackage], word: str, channel: str) -> list[RepoPackage]:
    name, equals, version = word.partition("=")
    named = [package for package in present if package.name == name]
    if not named:
        names = ", ".join(dict.fromkeys(package.name for package in present)) or "nothing"
        raise UsageError(f"channel {channel} has no package '{name}'", hint=f"it has: {names}")
    if equals:
        found = [package for package in named if package.version == version]
        if not found:
            listed = ", ".join(dict.fromkeys(package.version for package in named))
            raise UsageError(
                f"channel {channel} has no version '{version}' of {name}", hint=f"it has: {listed}"
            )
        return found
    return [versions[0] for versions in by_version(named).values()]


def by_version(packages: Iterable[RepoPackage]) -> dict[tuple[str, ...], list[RepoPackage]]:
    """Group packages by format, name and architecture, the newest version first. Pure."""
    found: defaultdict[tuple[str, ...], list[RepoPackage]] = defaultdict(list)
    for package in packages:
        found[(package.fmt.value, package.name, package.arch)].append(package)
    return {
        key: sorted(
            group, key=lambda package: version_key(package.fmt, package.version), reverse=True
        )
        for key, group in found.items()
    }


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """The packages that pruning removes."""

    left: Mapping[str, tuple[RepoPackage, ...]]  # by the channel that loses them
    removed: tuple[RepoPackage, ...]  # no channel has them any more


def prune_packages(repository: Repository, now: datetime, *, dry_run: bool = False) -> Pruned:
    """End the membership of versions that a channel need not keep; drop packages left in none.

    A snapshot that is not kept loses all its packages, and is no more.

    A later publication deletes the files, when no reader can still use them.
    """
    state, config = repository.state, repository.config
    left = {
        channel: tuple(_outdated(state.packages(channel), config, channel, now))
        for channel in config.channels
    }
    snapshots = list_snapshots(state.channels())
    left |= {
        snapshot.channel: tuple(state.packages(snapshot.channel))
        for snapshot in outdated_snapshots(snapshots, config, now)
    }
    kept = {snapshot.channel for snapshot in snapshots}
    for channel in set(state.channels()) - set(config.channels) - kept:
        log.warn(f"channel {channel} is not in repo.toml any more; its packages stay")
    going = {
        channel: {package.sha256 for package in packages} for channel, packages in left.items()
    }
    removed = [
        package
        for package in state.packages()
        if all(package.sha256 in going.get(name, ()) for name in state.channels_of(package.sha256))
    ]
    if not dry_run:
        with state.transaction():
            for channel, hashes in going.items():
                state.leave(channel, hashes)
            state.forget([package.sha256 for package in removed])
    return Pruned(left={name: rows for name, rows in left.items() if rows}, removed=tuple(removed))


def _outdated(
    packages: Sequence[RepoPackage], config: RepoConfig, channel: str, now: datetime
) -> Iterator[RepoPackage]:
    retention = config.retention_of(channel)
    if retention.keep == "all":
        return
    oldest = now - timedelta(days=retention.max_age_days) if retention.max_age_days else now
    for versions in by_version(packages).values():
        yield from (package for package in versions[retention.keep :] if package.added <= oldest)


def dangling_files(repository: Repository) -> list[PurePosixPath]:
    """Return the pool's files that the state does not list: an addition was interrupted."""
    public = repository.public
    known = set(repository.state.pool())
    known |= set(repository.state.published(LOCAL))
    found = (
        PurePosixPath(p.relative_to(public)) for p in (public / POOL).rglob("*") if p.is_file()
    )
    return sorted(path for path in found if path not in known)
