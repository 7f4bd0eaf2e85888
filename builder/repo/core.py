"""An open repository, and the promotion of its packages.

Nothing here touches an index: readers see a change when the tree is made anew
(:mod:`builder.repo.indexing`) and published.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.base.errors import UsageError
from builder.base.model import PackageFormat
from builder.base.storage import storage_guard
from builder.repo.config import RepoConfig, load_config
from builder.repo.model import PUBLIC, STATE, RepoPackage
from builder.repo.state import State, open_state
from builder.repo.state_packages import StoredPackages

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
    state, present = repository.state, repository.state.select(repository.channel(source))
    chosen = [package for word in words for package in _matching(present, word, source)]
    repository.channel(target)
    fresh = [
        package
        for package in dict.fromkeys(chosen)
        if target not in state.channels_of(package.sha256)
    ]
    with state.transaction():
        state.join(target, [package.sha256 for package in fresh])
        if move and source != target:
            state.leave(source, [package.sha256 for package in chosen])
    return fresh


def _matching(present: StoredPackages, word: str, channel: str) -> list[RepoPackage]:
    name, equals, version = word.partition("=")
    # Each format alone, which the state finds by its index.
    named = [present.where(fmt=fmt, name=name) for fmt in PackageFormat]
    newest = [next(versions) for some in named for versions in some.newest_first()]
    if not newest:
        listed = (name for fmt in PackageFormat for name in present.where(fmt=fmt).names())
        names = ", ".join(dict.fromkeys(listed)) or "nothing"
        raise UsageError(f"channel {channel} has no package '{name}'", hint=f"it has: {names}")
    if not equals:
        return newest
    found = [package for some in named for package in some if package.version == version]
    if not found:
        listed = (package.version for some in named for package in some)
        raise UsageError(
            f"channel {channel} has no version '{version}' of {name}",
            hint=f"it has: {', '.join(dict.fromkeys(listed))}",
        )
    return found
