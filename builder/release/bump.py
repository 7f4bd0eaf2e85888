"""Moves a line to another release of it, or begins a new line, with its locks."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from packaging.version import Version

from builder.base.cache import Cache
from builder.base.together import write_together
from builder.lock import Lock, lock_path
from builder.lock.file import render_lock
from builder.lock.resolve import make_locks
from builder.release.edit import Move, bump_text, derive_text, leave_out, parse_release
from builder.release.news import refuse_missing
from builder.spec import ReleaseSpec, Spec
from builder.spec.release import line_of


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A release file and its locks, in memory."""

    text: str
    release: ReleaseSpec
    locks: Sequence[Lock]


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """The spec, the CPythons that can be bundled, and the cache."""

    spec: Spec
    pythons: Sequence[str]
    cache: Cache


def release_file(root: Path, name: str) -> Path:
    """Return the path of a release's file."""
    return root / "releases" / f"{name}.toml"


def bump(shop: Workshop, release: ReleaseSpec, version: str, now: datetime) -> Moved:
    """Return the line at ``version``; pins that need not move are kept. Writes nothing."""
    text = release_file(shop.spec.root, release.name).read_text(encoding="utf-8")
    move = _move(version, now)
    return _resolved(shop, bump_text(text, move), release, release.name)


@dataclass(frozen=True, kw_only=True)
class NewLine:
    """A line that is to begin."""

    name: str
    version: str
    like: ReleaseSpec  # whose packages it gets
    without: Collection[str] = ()  # but for these


def begin(shop: Workshop, line: NewLine, now: datetime) -> Moved:
    """Return the new line. Writes nothing.

    It upgrades from the one that it is like only if that is older.
    """
    like, version = line.like, line.version
    text = release_file(shop.spec.root, like.name).read_text(encoding="utf-8")
    text = leave_out(text, like, line.without)
    lines = [like.line] if Version(like.version) < Version(version) else []
    text = derive_text(text, line.name, _move(version, now), [*lines, line_of(version)])
    return _resolved(shop, text, like, line.name)


def save(root: Path, moved: Moved) -> list[Path]:
    """Write the release file and its locks; returns the paths.

    All or none. Locks that a kill left behind are reported as stale, and the next run
    writes them.
    """
    return write_together(release_texts(root, moved.release.name, moved.text, moved.locks))


def release_texts(root: Path, name: str, text: str, locks: Sequence[Lock]) -> dict[Path, str]:
    """Return the files of a release with their texts: its own first, then the locks."""
    paths = {lock_path(root, lock.release, lock.package): render_lock(lock) for lock in locks}
    return {release_file(root, name): text, **paths}


def _move(version: str, now: datetime) -> Move:
    moment = now.replace(second=0, microsecond=0)
    return Move(version=version, until=moment, day=now.date(), changes=[f"Backend.AI {version}."])


def _resolved(shop: Workshop, text: str, like: ReleaseSpec, name: str) -> Moved:
    label = f"pkgspec/releases/{name}"
    release = parse_release(text, label)
    way = (
        f"leave its package out of 'packages' in {label}.toml"
        if name == like.name
        else "begin the line without its package: --without"
    )
    refuse_missing(shop.spec, release, shop.cache, hint=f"wait for it, or {way}")
    spec = replace(shop.spec, releases={**shop.spec.releases, name: release})
    locks = make_locks(
        spec, release, shop.pythons, shop.cache, upgrade=False, preferred_from=like.name
    )
    return Moved(text=text, release=release, locks=locks)
