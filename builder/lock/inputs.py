"""What a lock is made from, and whether it still is. Pure."""

from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement

from builder.cache import key_of
from builder.errors import LockError
from builder.lock.file import load_lock
from builder.spec import PackageSpec, ReleaseSpec, Spec


def pinned(requirement: str, release: ReleaseSpec) -> str:
    """A requirement of the release's own: without a version it means the release's."""
    parsed = Requirement(requirement)
    if not parsed.specifier:
        extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
        return f"{parsed.name}{extras}=={release.version}"
    return requirement


def requirements(package: PackageSpec, release: ReleaseSpec) -> list[str]:
    """What is asked of the resolver for this package; empty for one without Python."""
    if package.python is None:
        return []
    return [pinned(package.python.requirement, release), *package.python.extra_requirements]


def sample_pins(package: PackageSpec, release: ReleaseSpec) -> list[str]:
    """The distributions that the package takes files out of."""
    return sorted({pinned(sample.distribution, release) for sample in package.sample})


def needs_lock(package: PackageSpec) -> bool:
    """Whether anything of the package comes from the index."""
    return package.python is not None or bool(package.sample)


def inputs_digest(package: PackageSpec, release: ReleaseSpec, family: Iterable[PackageSpec]) -> str:
    """The hash of all in ``pkgspec/`` that decides what the lock says.

    ``family`` is every package of the release: they share their constraints.
    """
    shared = sorted(word for one in family for word in requirements(one, release))
    return key_of(
        {
            "requirements": requirements(package, release),
            "samples": sample_pins(package, release),
            "shared": shared,
            "until": release.index_until.isoformat(),
            "sdists": {name: list(one.build_requires) for name, one in release.sdist.items()},
            "constraints": list(release.constraints),
            "glibc": release.glibc,
        }
    )


def stale_locks(spec: Spec, release: ReleaseSpec) -> list[str]:
    """What is wrong with the release's locks, one line each; empty if they match."""
    family = [spec.packages[name] for name in release.packages]
    problems = []
    for package in filter(needs_lock, family):
        try:
            lock = load_lock(spec.root, release.name, package.name)
        except LockError as error:
            problems += error.message.splitlines()
            continue
        if lock.inputs != inputs_digest(package, release, family):
            problems.append(
                f"pkgspec/locks/{release.name}/{package.name}: "
                "pkgspec/ has changed since this lock was made"
            )
    return problems + _version_conflicts(spec.root, release, family)


def _version_conflicts(root: Path, release: ReleaseSpec, family: list[PackageSpec]) -> list[str]:
    """Distributions that two packages of the release have at different versions."""
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
