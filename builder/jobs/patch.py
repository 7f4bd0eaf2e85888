"""Fixes single wheels of a line, or its runtime: locks, revisions and changelog in one step."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from builder.base.errors import LockError, UsageError
from builder.base.model import Arch
from builder.base.together import write_together
from builder.index.uv import Target
from builder.lock import Lock, LockedDistribution, stale_locks
from builder.lock.patch import Change, Wanted, changes_of, find_missing, locks_with, patch_locks
from builder.plan.sources import read_sources
from builder.release.bump import Workshop, release_file, release_texts
from builder.release.edit import Importance, make_entry, parse_release, raise_text
from builder.release.facts import path_is_wheel, release_locks
from builder.release.news import own_distributions
from builder.release.touched import Family, programs_of, raised_entry
from builder.spec import ReleaseSpec
from builder.spec.release import ChangelogSpec
from builder.wheels.files import fetch_files
from builder.wheels.model import WheelRequest

_EXAMPLE = "--package aiohttp==3.13.3"


@dataclass(frozen=True, kw_only=True)
class PatchRequest:
    """What to fix, in whose words."""

    pins: Mapping[str, str]  # distribution to version
    free: Collection[str]  # distributions that may change, come or go with them
    runtime: bool  # raise the runtime, whose CPython or libraries are others
    changes: Sequence[str]  # further lines of the changelog
    importance: Importance


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A fix in memory: an entry of the changelog, and the files that change."""

    release: ReleaseSpec
    entry: ChangelogSpec
    locks: Mapping[str, Sequence[Change]]  # by the package whose lock has changes
    texts: Mapping[Path, str]


def parse_pins(words: Iterable[str]) -> dict[str, str]:
    """Return the distributions and versions that words like ``aiohttp==3.13.3`` name.

    Raises UsageError for another word, and for a distribution that is named twice.
    """
    pins: dict[str, str] = {}
    for word in words:
        try:
            parsed = Requirement(word)
        except InvalidRequirement as error:
            raise UsageError(f"'{word}' is no distribution: {error}", hint=_EXAMPLE) from error
        exact = [bound for bound in parsed.specifier if bound.operator == "=="]
        if len(parsed.specifier) != 1 or not exact or exact[0].version.endswith("*"):
            raise UsageError(f"'{word}' names no exact version", hint=_EXAMPLE)
        if parsed.extras or parsed.marker or parsed.url:
            raise UsageError(f"'{word}' is more than a name and a version", hint=_EXAMPLE)
        name = canonicalize_name(parsed.name)
        if pins.setdefault(name, exact[0].version) != exact[0].version:
            raise UsageError(f"{name} is named with two versions", hint=_EXAMPLE)
    return pins


def make_patch(shop: Workshop, release: ReleaseSpec, request: PatchRequest, now: datetime) -> Patch:
    """Make the fix of a line; nothing is written.

    Raises UsageError for what the line does not have or has already, LockError for what the
    index lacks, or what would change more than was asked for.
    """
    runtime = shop.spec.project.runtime
    if request.runtime and runtime not in release.packages:
        raise UsageError(f"{release.name} has no package with a shared runtime")
    stale = stale_locks(shop.spec, release)
    if stale:
        raise LockError(
            "\n".join(stale),
            hint="run 'builder lock' first; if a patch was killed: git checkout pkgspec",
        )
    locks = release_locks(shop.spec, release)
    _check_pins(shop, release, locks, request)
    moved = _with_index(shop, release, locks, request.pins, now)
    spec = replace(shop.spec, releases={**shop.spec.releases, release.name: moved})
    wanted = Wanted(pins=request.pins, free=request.free)
    made = patch_locks(spec, moved, locks, wanted, shop.cache) if request.pins else list(locks)
    before, after = _by_package(locks), _by_package(made)
    family = Family(spec=spec, release=moved, sources=read_sources(spec.root.parent, shop.cache))
    entry = raised_entry(
        family,
        family.plans(before),
        after,
        _draft(release, request, before, now),
        [
            *([runtime] if request.runtime and runtime else []),
            *_with_other_programs(shop, moved, before, after),
        ],
    )
    fresh = [lock for lock in made if lock != before[lock.package]]
    texts = _texts(shop, release, moved, entry, fresh)
    changed = {lock.package: changes_of(lock, after) for lock in locks}
    return Patch(
        release=moved,
        entry=entry,
        locks={name: changes for name, changes in changed.items() if changes},
        texts=texts,
    )


def save_patch(patch: Patch) -> list[Path]:
    """Write the files of a fix, all or none; returns their paths."""
    return write_together(patch.texts)


def _check_pins(
    shop: Workshop, release: ReleaseSpec, locks: Sequence[Lock], request: PatchRequest
) -> None:
    own = {canonicalize_name(name) for name in own_distributions(shop.spec, release)}
    for name, version in request.pins.items():
        present = locks_with(name, locks)
        if name in own:
            raise UsageError(
                f"{name} is Backend.AI's own, of the version of its release",
                hint=f"builder release bump {release.line}",
            )
        if not present and name not in request.free:
            raise UsageError(
                f"no lock of {release.name} has {name}",
                hint="'builder plan' lists the wheels; if another one needs it now: --also",
            )
        if present == [version]:
            raise UsageError(
                f"{name} is {version} already, in every lock of {release.name} that has it",
                hint=f"builder build --release {release.name}",
            )


def _with_index(
    shop: Workshop,
    release: ReleaseSpec,
    locks: Sequence[Lock],
    pins: Mapping[str, str],
    now: datetime,
) -> ReleaseSpec:
    """Return the release with a later ``index-until`` where a version is newer than it."""
    python = locks[0].python
    if not find_missing(pins, release, python, shop.cache, release.index_until):
        return release
    moment = now.replace(second=0, microsecond=0)
    missing = find_missing(pins, release, python, shop.cache, moment)
    if missing:
        raise LockError("\n".join(missing), hint="'uv pip download' shows what the index has")
    return release.model_copy(update={"index_until": moment})


def _draft(
    release: ReleaseSpec, request: PatchRequest, before: Mapping[str, Lock], now: datetime
) -> ChangelogSpec:
    updates = [
        f"Update {name} from {', '.join(old)} to {version}." if old else f"Add {name} {version}."
        for name, version in sorted(request.pins.items())
        for old in [locks_with(name, before.values())]
    ]
    return make_entry(
        version=release.version,
        revision=1,
        day=now.date(),
        urgency=request.importance.urgency,
        changes=(*updates, *request.changes),
        fixes=tuple(dict.fromkeys(request.importance.fixes)),
    )


def _with_other_programs(
    shop: Workshop, release: ReleaseSpec, before: Mapping[str, Lock], after: Mapping[str, Lock]
) -> list[str]:
    """Return the services if a wheel of the runtime has other programs now.

    Each service has the programs of these wheels in its own package, which its plan does
    not show.
    """
    services = [name for name in release.packages if shop.spec.packages[name].has_environment]
    if before == after or not services:
        return []
    old = _wheels_of_all([before[name] for name in services])
    new = _wheels_of_all([after[name] for name in services])
    changed = [name for name in old.keys() & new.keys() if old[name].pin != new[name].pin]
    target = Target(minor=after[services[0]].python, arch=Arch.AMD64, glibc=release.glibc)
    for name in sorted(changed):
        programs = [_programs(shop, wheel, target) for wheel in (old[name], new[name])]
        if programs[0] != programs[1]:
            return services
    return []


def _wheels_of_all(locks: Sequence[Lock]) -> dict[str, LockedDistribution]:
    names = set.intersection(*({wheel.name for wheel in lock.wheel} for lock in locks))
    return {wheel.name: wheel for wheel in locks[0].wheel if wheel.name in names}


def _programs(shop: Workshop, wheel: LockedDistribution, target: Target) -> dict[str, str]:
    request = WheelRequest(distributions=[wheel], build=(), target=target)
    paths = fetch_files(request, shop.cache, offline=False)
    # Of an sdist nothing is known before it is built: any change may be one of programs.
    unknown = {sha256: "" for sha256, path in paths.items() if not path_is_wheel(path)}
    return unknown or {name: v for path in paths.values() for name, v in programs_of(path).items()}


def _by_package(locks: Iterable[Lock]) -> dict[str, Lock]:
    return {lock.package: lock for lock in locks}


def _texts(
    shop: Workshop,
    release: ReleaseSpec,
    moved: ReleaseSpec,
    entry: ChangelogSpec,
    locks: Sequence[Lock],
) -> dict[Path, str]:
    """Return the files with their new texts."""
    if not entry.packages:
        raise LockError("no package of the line changes by that", hint="builder plan")
    root = shop.spec.root
    path = release_file(root, release.name)
    until = moved.index_until if moved.index_until != release.index_until else None
    text = raise_text(path.read_text(encoding="utf-8"), entry, until)
    parse_release(text, f"pkgspec/releases/{release.name}")
    return release_texts(root, release.name, text, locks)
