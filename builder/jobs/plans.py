"""The plans of a build: of every package requested, and of the hosts of add-ons."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.base import log
from builder.base.errors import LockError
from builder.base.model import Arch
from builder.lock import Lock, load_lock
from builder.lock.inputs import is_current, needs_lock
from builder.plan import PackagePlan, PlanInput, plan_package
from builder.plan.sources import read_sources
from builder.spec import PackageSpec, ReleaseSpec, Spec


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """The packages to plan."""

    release: ReleaseSpec
    packages: Sequence[PackageSpec]
    archs: Sequence[Arch]
    maintainer: str | None = None


def plan_packages(request: PlanRequest, spec: Spec, project: Path) -> list[PackagePlan]:
    """Plan all packages requested; each package once for every architecture it has.

    Raises LockError if a lock is absent or no longer fits the spec.
    """
    given = plan_input(request, spec, project)
    plans = []
    for package in request.packages:
        lock = _current_lock(package, request.release, spec)
        archs = request.archs if package.is_native else request.archs[:1]
        for arch in archs:
            if arch in package.archs:
                plans.append(plan_package(package, lock, arch, given))
            else:
                log.step(f"{package.name}: is not made for {arch}")
    return plans


def plan_input(request: PlanRequest, spec: Spec, project: Path) -> PlanInput:
    """Return the inputs of plans: the release's packages, and the locks of its services."""
    packages = [spec.packages[name] for name in request.release.packages]
    services = [package for package in packages if package.python and not package.addon]
    locks = {package.name: _current_lock(package, request.release, spec) for package in services}
    return PlanInput(
        project=spec.project,
        release=request.release,
        sources=read_sources(project),
        maintainer=request.maintainer,
        packages=packages,
        locks={name: lock for name, lock in locks.items() if lock is not None},
    )


def plan_hosts(
    plans: Sequence[PackagePlan], request: PlanRequest, spec: Spec, project: Path
) -> dict[tuple[str, Arch], PackagePlan]:
    """Plan every add-on's host, requested or not: the add-on is checked against it."""
    found: dict[tuple[str, Arch], PackagePlan] = {}
    for plan in plans:
        if plan.python is None or plan.python.addon is None or plan.arch is None:
            continue
        host = spec.packages[plan.python.addon.host]
        if (host.name, plan.arch) not in found:
            lock = _current_lock(host, request.release, spec)
            given = plan_input(request, spec, project)
            found[host.name, plan.arch] = plan_package(host, lock, plan.arch, given)
    return found


def _current_lock(package: PackageSpec, release: ReleaseSpec, spec: Spec) -> Lock | None:
    if not needs_lock(package):
        return None
    lock = load_lock(spec.root, release.name, package.name)
    if not is_current(lock, package, release, spec):
        host = f" or the lock of {package.addon.host}" if package.addon else ""
        raise LockError(
            f"pkgspec/locks/{release.name}/{package.name}: pkgspec/{host} has changed since "
            "this lock was made",
            hint="run 'builder lock'",
        )
    return lock


def plan_runtimes(
    plans: Sequence[PackagePlan], request: PlanRequest, spec: Spec, project: Path
) -> dict[Arch, PackagePlan]:
    """Plan the runtime of each architecture that a plan runs on, requested or not."""
    archs = {plan.arch for plan in plans if plan.python is not None and plan.arch is not None}
    if not archs:
        return {}
    given = plan_input(request, spec, project)
    package = spec.packages[spec.project.runtime]
    return {arch: plan_package(package, None, arch, given) for arch in sorted(archs)}
