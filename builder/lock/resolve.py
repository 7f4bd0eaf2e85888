"""Makes the locks of a release: picks the Python, resolves all services together.

All requirements of a release are resolved at once, for each architecture, and the
versions found there bind each package's own resolution. So the same wheel has the
same version everywhere.
"""

import zipfile
from collections.abc import Mapping, Sequence
from email.parser import HeaderParser
from pathlib import Path

from packaging.specifiers import SpecifierSet

from builder.base import log
from builder.base.cache import Cache
from builder.base.errors import LockError
from builder.base.model import Arch
from builder.base.timing import phase
from builder.index.uv import IndexFile, Limits, Resolved, Target, UnresolvedError, resolve
from builder.lock.addons import lock_addons
from builder.lock.file import Lock, LockedDistribution, load_lock
from builder.lock.inputs import inputs_digest, needs_lock, requirements, sample_pins
from builder.lock.session import (
    Session,
    Versions,
    constraints_of,
    limits_of,
    lock_distribution,
)
from builder.lock.unresolved import explain, explain_together
from builder.net.download import fetch_blob
from builder.spec import PackageSpec, ReleaseSpec, Spec


def make_locks(  # noqa: PLR0913 - by name
    spec: Spec,
    release: ReleaseSpec,
    pythons: Sequence[str],
    cache: Cache,
    *,
    upgrade: bool,
    preferred_from: str | None = None,
) -> list[Lock]:
    """Resolve every package of ``release``; ``pythons`` are the versions that can be bundled.

    Versions in the present locks are kept if they still fit, unless ``upgrade``; a line
    without locks may keep those of the release ``preferred_from``.
    Raises LockError if there is no solution or no Python fits.
    """
    everything = [spec.packages[name] for name in release.packages]
    family = [package for package in everything if not package.addon]
    locked = [package for package in family if needs_lock(package)]
    addons = [package for package in everything if package.addon]
    minor, requires_python = choose_python([*locked, *addons], release, pythons, cache)
    log.step(f"{release.name}: Python {minor} (Requires-Python {requires_python})")
    session = Session(
        release=release,
        family=family,
        requires_python=requires_python,
        targets=[Target(minor=minor, arch=arch, glibc=release.glibc) for arch in Arch],
        cache=cache,
        begun_from=preferred_from if preferred_from != release.name else None,
    )
    present = {} if upgrade else _present_versions(spec, preferred_from or release.name, release)
    with phase("resolve", release.name):
        shared = _resolve_family(session, present)
        build = resolve_build_requires(session)
        locks = [_lock_package(package, session, shared, build) for package in locked]
        hosts = {lock.package: lock for lock in locks}
        return locks + lock_addons(addons, hosts, session, {**present, **shared})


def choose_python(
    family: Sequence[PackageSpec], release: ReleaseSpec, pythons: Sequence[str], cache: Cache
) -> tuple[str, str]:
    """Return the minor version that every distribution of the release accepts, and their bounds.

    uv resolves past an upper bound of Requires-Python, so ``packaging`` decides here.
    """
    newest_first = sorted(
        pythons, key=lambda python: [int(n) for n in python.split(".")], reverse=True
    )
    target = Target(minor=_minor(newest_first[0]), arch=Arch.AMD64, glibc=release.glibc)
    roots = sorted({requirements(member, release)[0] for member in family if member.python})
    bounds = SpecifierSet()
    try:
        services = resolve(roots, target, limits_of(release, target.arch, {}), cache, deps=False)
    except UnresolvedError as error:
        hint = f"'builder release check' shows what there is; pkgspec/releases/{release.name}.toml"
        raise LockError(error.message, hint=f"{hint} names the version") from error
    for found in services:
        if found.wheel is None:
            raise LockError(f"{found.name} {found.version} has no wheel on the index")
        bounds &= SpecifierSet(_requires_python(found.wheel, cache))
    for version in newest_first:
        if version in bounds:
            return _minor(version), str(bounds)
    raise LockError(
        f"release {release.version} requires Python {bounds}, "
        f"but pkgspec/runtimes has only {', '.join(newest_first)}",
        hint="add a runtime that fits: 'builder runtime list --latest' shows what there is",
    )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _requires_python(wheel: IndexFile, cache: Cache) -> str:
    path = fetch_blob(wheel.url, sha256=wheel.sha256, cache=cache, label=wheel.name)
    return read_metadata(path).get("Requires-Python", "")


def read_metadata(wheel: Path) -> Mapping[str, str]:
    """Read the METADATA of a wheel (the first value of each header)."""
    with zipfile.ZipFile(wheel) as archive:
        member = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return dict(HeaderParser().parsestr(archive.read(member).decode("utf-8")).items())


def _present_versions(spec: Spec, locked: str, release: ReleaseSpec) -> Versions:
    found: Versions = {}
    for name in release.packages:
        try:
            lock = load_lock(spec.root, locked, name)
        except LockError:
            continue
        found.update({distribution.name: distribution.version for distribution in lock.wheel})
    return found


def _resolve_family(session: Session, preferred: Versions) -> Versions:
    """Resolve to one version for each distribution of the release, on every architecture."""
    wanted = sorted(
        {word for member in session.family for word in requirements(member, session.release)}
    )
    versions: Versions = {}
    for target in session.targets:
        log.step(f"resolving {len(wanted)} requirements together for {target.platform}")
        # A version found for one architecture binds the next one.
        bound = constraints_of(versions)
        limits = limits_of(session.release, target.arch, preferred, bound)
        try:
            found = resolve(wanted, target, limits, session.cache)
        except UnresolvedError as error:
            raise explain_together(error, session) from error
        versions |= {distribution.name: distribution.version for distribution in found}
    return versions


def resolve_build_requires(session: Session) -> tuple[LockedDistribution, ...]:
    """Return what the sdists that the release allows are built with."""
    release, target = session.release, session.targets[0]
    wanted = sorted({word for sdist in release.sdist.values() for word in sdist.build_requires})
    if not wanted:
        return ()
    found = resolve(wanted, target, Limits(until=release.index_until), session.cache)
    return tuple(lock_distribution([(target.arch, resolved)]) for resolved in found)


def _lock_package(
    package: PackageSpec,
    session: Session,
    shared: Versions,
    build: tuple[LockedDistribution, ...],
) -> Lock:
    release = session.release
    try:
        wheels = resolve_targets(requirements(package, release), session, constraints_of(shared))
        samples = resolve_targets(sample_pins(package, release), session, deps=False)
    except UnresolvedError as error:
        raise explain(error, [package], session) from error
    has_sdist = any(not file.is_wheel for wheel in wheels for file in wheel.files)
    log.step(f"{package.name}: {len(wheels)} distributions")
    return Lock.model_validate(
        {
            "release": release.name,
            "version": release.version,
            "package": package.name,
            "python": session.targets[0].minor,
            "requires-python": session.requires_python,
            "glibc": release.glibc,
            "inputs": inputs_digest(package, release, session.family),
            "wheel": wheels,
            "build": build if has_sdist else (),
            "sample": samples,
        }
    )


def resolve_targets(
    wanted: Sequence[str],
    session: Session,
    constraints: Sequence[str] = (),
    *,
    deps: bool = True,
) -> tuple[LockedDistribution, ...]:
    """Resolve for every target, and join the files of the same distribution, by name."""
    if not wanted:
        return ()
    found: dict[str, list[tuple[Arch, Resolved]]] = {}
    for target in session.targets:
        limits = limits_of(session.release, target.arch, {}, constraints)
        for resolved in resolve(wanted, target, limits, session.cache, deps=deps):
            found.setdefault(resolved.name, []).append((target.arch, resolved))
    return tuple(lock_distribution(found[name]) for name in sorted(found))
