"""The plans of a build: of every package requested, and of the hosts of add-ons."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.base import log
from builder.base.cache import Cache
from builder.base.errors import LockError
from builder.base.model import Arch
from builder.lock import Lock, load_lock
from builder.lock.inputs import is_current, needs_lock
from builder.plan import GatewayPlan, PackagePlan, PlanInput, plan_gateway, plan_package
from builder.plan.compiled import open_compiled
from builder.plan.sources import read_sources
from builder.spec import PackageSpec, ReleaseSpec, Spec


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """The packages to plan."""

    release: ReleaseSpec
    packages: Sequence[PackageSpec]
    archs: Sequence[Arch]
    maintainer: str | None = None


class Planner:
    """Plans packages of one release; templates and each lock are read once."""

    def __init__(
        self, request: PlanRequest, spec: Spec, project: Path, cache: Cache | None = None
    ) -> None:
        """Raise LockError if a service's lock is absent or no longer fits the spec.

        With a ``cache`` it keeps what was read of the tool and compiled of the templates.
        """
        self._request = request
        self._spec = spec
        self._locks: dict[str, Lock | None] = {}
        self._compiled = open_compiled(cache) if cache else None
        self._plans: dict[tuple[str, Arch], PackagePlan] = {}
        packages = [spec.packages[name] for name in request.release.packages]
        services = [package for package in packages if package.has_environment]
        locks = {package.name: self._lock(package) for package in services}
        self._given = PlanInput(
            project=spec.project,
            release=request.release,
            sources=read_sources(project, cache),
            compiled=self._compiled,
            prune=spec.prune,
            maintainer=request.maintainer,
            packages=packages,
            locks={name: lock for name, lock in locks.items() if lock is not None},
        )

    def packages(self) -> list[PackagePlan]:
        """Plan all packages requested; each package once for every architecture it has."""
        plans = []
        request = self._request
        for package in request.packages:
            archs = request.archs if package.is_native else request.archs[:1]
            for arch in archs:
                if arch in package.archs:
                    plans.append(self._plan(package, arch))
                else:
                    log.step(f"{package.name}: is not made for {arch}")
        if self._compiled:
            self._compiled.save()
        return plans

    def hosts(self, plans: Sequence[PackagePlan]) -> dict[tuple[str, Arch], PackagePlan]:
        """Plan every add-on's host, requested or not: the add-on is checked against it."""
        wanted = {
            (plan.python.addon.host, plan.arch)
            for plan in plans
            if plan.python is not None and plan.python.addon is not None and plan.arch is not None
        }
        return {
            (host, arch): self._plan(self._spec.packages[host], arch)
            for host, arch in sorted(wanted)
        }

    def runtimes(self, plans: Sequence[PackagePlan]) -> dict[Arch, PackagePlan]:
        """Plan the runtime of each architecture that a plan runs on, requested or not."""
        archs = {plan.arch for plan in plans if plan.python is not None and plan.arch is not None}
        runtime = self._spec.packages[self._spec.project.runtime] if archs else None
        return {arch: self._plan(runtime, arch) for arch in sorted(archs) if runtime is not None}

    def gateways(self, plans: Sequence[PackagePlan]) -> dict[str, GatewayPlan]:
        """Plan the check of each gateway that is requested, by its package."""
        listed = {plan.name: self._spec.packages[plan.name] for plan in plans}
        release = self._request.release.version
        return {
            name: plan_gateway(package, release, self._given.locks)
            for name, package in listed.items()
            if package.gateway is not None
        }

    def _plan(self, package: PackageSpec, arch: Arch) -> PackagePlan:
        key = (package.name, arch)
        if key not in self._plans:
            self._plans[key] = plan_package(package, self._lock(package), arch, self._given)
        return self._plans[key]

    def _lock(self, package: PackageSpec) -> Lock | None:
        if package.name not in self._locks:
            self._locks[package.name] = _current_lock(package, self._request.release, self._spec)
        return self._locks[package.name]


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
