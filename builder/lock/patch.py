"""Changes single distributions in every lock of a release that has them; all else stays.

The new versions are resolved under all other pins as constraints. Where that has no solution,
a free resolution shows which pins are in the way.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from packaging.version import Version

from builder.base import log
from builder.base.cache import Cache
from builder.base.errors import LockError
from builder.base.model import Arch
from builder.index.uv import Limits, Target, resolve
from builder.lock.addons import lock_addons
from builder.lock.file import Lock, LockedDistribution
from builder.lock.inputs import clashing_extras, inputs_digest, requirements
from builder.lock.resolve import resolve_build_requires, resolve_targets
from builder.lock.session import Session, Versions, constraints_of, limits_of
from builder.spec import PackageSpec, ReleaseSpec, Spec

# uv's words where the index has other versions at most.
_NO_VERSION = ("there is no version of", "was not found in the package registry")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What changes: ``pins`` to exactly these versions, ``free`` as the resolver likes."""

    pins: Mapping[str, str]
    free: Collection[str] = ()

    def allows(self, name: str) -> bool:
        """Return whether a distribution may change, come or go."""
        return name in self.pins or name in self.free


@dataclass(frozen=True, kw_only=True)
class Change:
    """A distribution of a lock before and after; None where the lock has none."""

    name: str
    before: str | None
    after: str | None

    @property
    def shown(self) -> str:
        """The change for people."""
        return f"{self.name}: {self.before or 'absent'} -> {self.after or 'absent'}"


def find_missing(
    pins: Mapping[str, str], release: ReleaseSpec, python: str, cache: Cache, until: datetime
) -> list[str]:
    """Return a line for each pin that the index lacks, or lacks for an architecture."""
    found = (_missing(f"{n}=={v}", release, python, cache, until) for n, v in sorted(pins.items()))
    return [line for line in found if line]


def _missing(pin: str, release: ReleaseSpec, python: str, cache: Cache, until: datetime) -> str:
    lacking: dict[Arch, str] = {}
    for arch in Arch:
        target = Target(minor=python, arch=arch, glibc=release.glibc)
        sdists = limits_of(release, arch, {}).sdists
        limits = Limits(until=until, sdists=sdists)
        try:
            resolve([pin], target, limits, cache, deps=False)
        except LockError as error:
            lacking[arch] = " ".join(error.message.split())
    name, _, version = pin.partition("==")
    if len(lacking) == len(Arch) and all(
        any(words in reason for words in _NO_VERSION) for reason in lacking.values()
    ):
        return f"the index has no {name} {version}"
    if lacking:
        where = f"Python {python} and glibc {release.glibc}"
        listed = " and ".join(lacking)
        return (
            f"{name} {version} has no wheel for {listed}, {where}: {next(iter(lacking.values()))}"
        )
    return ""


def patch_locks(
    spec: Spec, release: ReleaseSpec, locks: Sequence[Lock], wanted: Wanted, cache: Cache
) -> list[Lock]:
    """Return the locks of ``release`` with the wanted versions; files of all others are kept.

    Raises LockError, with the list, if anything else would change.
    """
    members = [spec.packages[name] for name in release.packages]
    session = Session(
        release=release,
        family=[package for package in members if not package.addon],
        requires_python=locks[0].requires_python,
        targets=[Target(minor=locks[0].python, arch=arch, glibc=release.glibc) for arch in Arch],
        cache=cache,
    )
    by_name = {lock.package: lock for lock in locks}
    services = [by_name[package.name] for package in session.family if package.name in by_name]
    shared = _resolve_shared(services, session, _versions(locks), wanted)
    made = {
        lock.package: _patch_service(lock, spec.packages[lock.package], session, shared, wanted)
        for lock in services
    }
    addons = [package for package in members if package.addon]
    made |= _patch_addons(addons, by_name, made, session, wanted)
    _refuse_others([change for lock in locks for change in changes_of(lock, made)], wanted)
    _refuse_left(made.values(), wanted)
    shared_by_two = clashing_extras((package, made[package.name]) for package in addons)
    if shared_by_two:
        raise LockError("\n".join(shared_by_two))
    return [made[lock.package] for lock in locks]


def changes_of(lock: Lock, made: Mapping[str, Lock]) -> list[Change]:
    """Return what differs between a lock and the one in its place."""
    return _differences(_versions([lock]), _versions([made[lock.package]]))


def _differences(before: Versions, after: Versions) -> list[Change]:
    return [
        Change(name=name, before=before.get(name), after=after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _versions(locks: Iterable[Lock]) -> Versions:
    return {wheel.name: wheel.version for lock in locks for wheel in lock.wheel}


def _resolve_shared(
    services: Sequence[Lock], session: Session, present: Versions, wanted: Wanted
) -> Versions:
    """Resolve all services together with every pin fixed but those that may change."""
    fixed = {name: v for name, v in present.items() if not wanted.allows(name)}
    bound = {**fixed, **wanted.pins}
    try:
        return _resolve_together(session, bound, present)
    except LockError:
        free = _resolve_free(session, wanted, present)
        _refuse_others(_differences(_versions(services), free), wanted)
        raise


def _resolve_free(session: Session, wanted: Wanted, present: Versions) -> Versions:
    """Resolve with nothing fixed but the wanted versions."""
    try:
        return _resolve_together(session, dict(wanted.pins), present)
    except LockError as error:
        raise LockError(
            f"the requirements of {session.release.name} do not allow {_listed(wanted)}: "
            f"{error.message}",
            hint="'builder release check' shows whether there is a release that allows it",
        ) from error


def _listed(wanted: Wanted) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(wanted.pins.items()))


def _resolve_together(session: Session, bound: Versions, preferred: Versions) -> Versions:
    words = sorted(
        {word for member in session.family for word in requirements(member, session.release)}
    )
    versions: Versions = {}
    for target in session.targets:
        log.step(f"resolving {len(words)} requirements together for {target.platform}")
        limits = limits_of(
            session.release, target.arch, preferred, constraints_of({**versions, **bound})
        )
        versions |= {
            found.name: found.version for found in resolve(words, target, limits, session.cache)
        }
    return versions


def _refuse_others(changes: Iterable[Change], wanted: Wanted) -> None:
    others = {change.shown: change.name for change in changes if not wanted.allows(change.name)}
    if not others:
        return
    also = " ".join(f"--also {name}" for name in dict.fromkeys(others.values()))
    raise LockError(
        f"{_listed(wanted)} would change more than that:\n"
        + "\n".join(f"  {line}" for line in others),
        hint=f"if these may change, too: {also}",
    )


def _refuse_left(locks: Iterable[Lock], wanted: Wanted) -> None:
    """Refuse a lock whose own requirements keep a distribution at another version."""
    left = [
        f"{lock.package} needs {wheel.name} {wheel.version}, not {wanted.pins[wheel.name]}"
        for lock in locks
        for wheel in lock.wheel
        if wanted.pins.get(wheel.name, wheel.version) != wheel.version
    ]
    if left:
        raise LockError("\n".join(left), hint="leave the package out of the line, or wait for it")


def _patch_service(
    lock: Lock, package: PackageSpec, session: Session, shared: Versions, wanted: Wanted
) -> Lock:
    """Return the lock of a service; one that has nothing that may change keeps its wheels."""
    inputs = inputs_digest(package, session.release, session.family)
    if not any(wanted.allows(wheel.name) for wheel in lock.wheel):
        return lock.model_copy(update={"inputs": inputs})
    words = requirements(package, session.release)
    wheels = _kept(lock, resolve_targets(words, session, constraints_of(shared)))
    log.step(f"{lock.package}: {len(wheels)} distributions")
    has_sdist = any(not file.is_wheel for wheel in wheels for file in wheel.files)
    build = (lock.build or resolve_build_requires(session)) if has_sdist else ()
    return lock.model_copy(update={"inputs": inputs, "wheel": wheels, "build": build})


def _kept(lock: Lock, wheels: Iterable[LockedDistribution]) -> tuple[LockedDistribution, ...]:
    """Return the wheels, in the lock's own words where the version is that of before.

    The index may have another file of the same version by now, which nobody asked for.
    """
    known = {wheel.pin: wheel for wheel in lock.wheel}
    return tuple(known.get(wheel.pin, wheel) for wheel in wheels)


def _patch_addons(
    addons: Sequence[PackageSpec],
    present: Mapping[str, Lock],
    hosts: Mapping[str, Lock],
    session: Session,
    wanted: Wanted,
) -> dict[str, Lock]:
    """Return the locks of add-ons, resolved again where they or their hosts have changed."""
    made = {}
    for package in addons:
        assert package.addon is not None
        lock, host = present[package.name], hosts[package.addon.host]
        concerned = any(wanted.allows(wheel.name) for wheel in lock.wheel)
        if concerned or host.wheel != present[host.package].wheel:
            preferred = {**_versions(present.values()), **wanted.pins}
            (fresh,) = lock_addons([package], hosts, session, preferred)
            made[package.name] = fresh.model_copy(update={"wheel": _kept(lock, fresh.wheel)})
        else:
            inputs = inputs_digest(package, session.release, (), host)
            made[package.name] = lock.model_copy(update={"inputs": inputs})
    return made


def locks_with(name: str, locks: Iterable[Lock]) -> list[str]:
    """Return the versions of a distribution in the locks, each once, the oldest first."""
    found = {wheel.version for lock in locks for wheel in lock.wheel if wheel.name == name}
    return sorted(found, key=Version)
