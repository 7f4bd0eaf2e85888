"""The inputs of a lock, and whether the lock still fits them. Pure."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement

from builder.base.cache import key_of
from builder.base.errors import LockError
from builder.base.model import Arch
from builder.lock.file import Lock, load_lock
from builder.spec import PackageSpec, ReleaseSpec, Spec
from builder.spec.release import SdistSpec


def pinned(requirement: str, release: ReleaseSpec) -> str:
    """Pin a requirement without a version to the version of the release."""
    parsed = Requirement(requirement)
    if not parsed.specifier:
        extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
        return f"{parsed.name}{extras}=={release.version}"
    return requirement


def requirements(package: PackageSpec, release: ReleaseSpec) -> list[str]:
    """Return the requirements that the resolver gets for this package; empty without Python."""
    if package.python is None:
        return []
    extra = release.extra_requirements.get(package.name, ())
    return [
        pinned(package.python.requirement, release),
        *package.python.extra_requirements,
        *extra,
    ]


def sample_pins(package: PackageSpec, release: ReleaseSpec) -> list[str]:
    """Return the pins of distributions from which the package extracts files."""
    return sorted({pinned(sample.distribution, release) for sample in package.sample})


def needs_lock(package: PackageSpec) -> bool:
    """Return whether any part of the package comes from the index."""
    return package.python is not None or bool(package.sample)


def inputs_digest(
    package: PackageSpec,
    release: ReleaseSpec,
    family: Iterable[PackageSpec],
    host: Lock | None = None,
) -> str:
    """Return the hash of all values in ``pkgspec/`` that decide the lock.

    ``family`` is every package of the release: they share their constraints. ``host`` is
    the lock that an add-on has to fit; with it, the family's other needs do not matter.
    """
    if host is not None:
        bound: dict[str, object] = {"host": sorted(distribution.pin for distribution in host.wheel)}
    else:
        words = (
            word for member in family if not member.addon for word in requirements(member, release)
        )
        bound = {"shared": sorted(words)}
    return key_of(
        {
            **bound,
            "requirements": requirements(package, release),
            "samples": sample_pins(package, release),
            "until": release.index_until.isoformat(),
            "sdists": {name: _sdist_inputs(sdist) for name, sdist in release.sdist.items()},
            "constraints": list(release.constraints),
            "glibc": release.glibc,
        }
    )


def _sdist_inputs(sdist: SdistSpec) -> list[str]:
    every = set(sdist.archs) == set(Arch)
    return [*sdist.build_requires, *([] if every else sorted(sdist.archs))]


def is_current(lock: Lock, package: PackageSpec, release: ReleaseSpec, spec: Spec) -> bool:
    """Return whether the lock fits the current ``pkgspec/``, the host's lock included."""
    family = [spec.packages[name] for name in release.packages]
    host = load_lock(spec.root, release.name, package.addon.host) if package.addon else None
    return lock.inputs == inputs_digest(package, release, family, host)


def stale_locks(spec: Spec, release: ReleaseSpec) -> list[str]:
    """Return the problems of the release's locks, one line each; empty if they match."""
    family = [spec.packages[name] for name in release.packages]
    problems = []
    for package in filter(needs_lock, family):
        try:
            lock = load_lock(spec.root, release.name, package.name)
            current = is_current(lock, package, release, spec)
        except LockError as error:
            problems += error.message.splitlines()
            continue
        if not current:
            host = f" or the lock of {package.addon.host}" if package.addon else ""
            problems.append(
                f"pkgspec/locks/{release.name}/{package.name}: "
                f"pkgspec/{host} has changed since this lock was made"
            )
    services = [member for member in family if not member.addon]
    return (
        list(dict.fromkeys(problems))
        + _version_conflicts(spec.root, release, services)
        + _shared_extras(spec.root, release, family)
    )


def _shared_extras(root: Path, release: ReleaseSpec, family: list[PackageSpec]) -> list[str]:
    """Return the distributions that two add-ons of one host would both install."""
    locks = []
    for package in family:
        if package.addon:
            with contextlib.suppress(LockError):
                locks.append((package, load_lock(root, release.name, package.name)))
    return clashing_extras(locks)


def clashing_extras(locks: Iterable[tuple[PackageSpec, Lock]]) -> list[str]:
    """Return a line for each distribution that a second add-on of the same host has, too.

    No file can belong to two packages: the host must have the distributions that both need.
    """
    seen: dict[tuple[str, str], str] = {}
    problems = []
    for package, lock in locks:
        assert package.addon is not None
        host = package.addon.host
        for wheel in lock.wheel:
            owner = seen.setdefault((host, wheel.name), package.name)
            if owner != package.name:
                problems.append(
                    f"{wheel.name} is in {owner} and in {package.name}, which share a Python: "
                    f"add it to 'extra-requirements' under [python] of pkgspec/packages/{host}"
                )
    return problems


def _version_conflicts(root: Path, release: ReleaseSpec, family: list[PackageSpec]) -> list[str]:
    """Return the distributions that two packages of the release have at different versions."""
    seen: dict[str, tuple[str, str]] = {}
    problems = []
    for package in family:
        try:
            lock = load_lock(root, release.name, package.name)
        except LockError:
            continue
        for wheel in lock.wheel:
            version, owner = seen.setdefault(wheel.name, (wheel.version, package.name))
            if version != wheel.version:
                problems.append(
                    f"pkgspec/locks/{release.name}: {wheel.name} is {version} in {owner}, "
                    f"{wheel.version} in {package.name}"
                )
    return problems
