"""Locks of add-ons: distributions that their host's lock lacks, resolved under that lock.

An add-on is installed into its host's Python. So it uses every distribution of the host
at the host's version, and is refused if it cannot.
"""

from collections.abc import Iterable, Mapping, Sequence

from builder.base import log
from builder.base.errors import LockError
from builder.base.model import Arch
from builder.index.uv import Resolved, Target, UnresolvedError, resolve
from builder.lock.file import Lock
from builder.lock.inputs import clashing_extras, inputs_digest, requirements
from builder.lock.session import (
    Session,
    Versions,
    constraints_of,
    limits_of,
    lock_distribution,
)
from builder.lock.unresolved import explain
from builder.spec import PackageSpec


def lock_addons(
    addons: Sequence[PackageSpec],
    hosts: Mapping[str, Lock],
    session: Session,
    preferred: Versions,
) -> list[Lock]:
    """Make the lock of each add-on; ``preferred`` are versions for otherwise free choices.

    Raises LockError if an add-on would change a host's distribution, or two add-ons
    would install the same one.
    """
    locks = []
    for package in addons:
        assert package.addon is not None
        host = hosts[package.addon.host]
        locks.append(_lock_addon(package, host, session, preferred))
    shared = clashing_extras(zip(addons, locks, strict=True))
    if shared:
        raise LockError("\n".join(shared))
    return locks


def _lock_addon(package: PackageSpec, host: Lock, session: Session, preferred: Versions) -> Lock:
    of_host = {distribution.name: distribution.version for distribution in host.wheel}
    found: dict[str, list[tuple[Arch, Resolved]]] = {}
    versions: Versions = {}
    for target in session.targets:
        if target.arch not in package.archs:
            continue
        # A version found for one architecture binds the next one.
        for resolved in _resolve_under(
            package, target, session, {**versions, **of_host}, preferred
        ):
            versions[resolved.name] = resolved.version
            if resolved.name not in of_host:
                found.setdefault(resolved.name, []).append((target.arch, resolved))
    log.step(f"{package.name}: {len(found)} distributions beside those of {host.package}")
    return Lock.model_validate(
        {
            "release": host.release,
            "version": host.version,
            "package": package.name,
            "python": host.python,
            "requires-python": host.requires_python,
            "glibc": host.glibc,
            "inputs": inputs_digest(package, session.release, (), host),
            "wheel": tuple(lock_distribution(found[name]) for name in sorted(found)),
        }
    )


def _resolve_under(
    package: PackageSpec, target: Target, session: Session, bound: Versions, preferred: Versions
) -> list[Resolved]:
    """Resolve with every version of ``bound`` fixed; on failure report those that cannot stay."""
    wanted = requirements(package, session.release)
    limits = limits_of(session.release, target.arch, preferred, constraints_of(bound))
    try:
        return resolve(wanted, target, limits, session.cache)
    except UnresolvedError as error:
        changed = _changed_versions(wanted, target, session, bound)
        if not changed:  # the index lacks it
            raise explain(error, [package], session) from error
        assert package.addon is not None
        lines = [f"{name}: {bound[name]} there, {version} here" for name, version in changed]
        raise LockError(
            f"{package.name} does not fit {package.addon.host} on {target.arch}: it needs other "
            "versions of what that has:\n" + "\n".join(f"  {line}" for line in lines),
            hint="leave it out of the release's 'packages', or bind the versions of both "
            "by 'constraints' of the release",
        ) from error


def _changed_versions(
    wanted: Sequence[str], target: Target, session: Session, bound: Versions
) -> Iterable[tuple[str, str]]:
    """Return the distributions whose version changes if ``bound`` is only preferred."""
    try:
        limits = limits_of(session.release, target.arch, bound)
        free = resolve(wanted, target, limits, session.cache)
    except LockError:
        return []
    return [
        (distribution.name, distribution.version)
        for distribution in free
        if bound.get(distribution.name, distribution.version) != distribution.version
    ]
