"""The main job: from spec and locks to packages in the out folder."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Semaphore
from typing import TypeVar

from builder.base import log
from builder.base.cache import Cache, storage_guard
from builder.base.errors import LockError
from builder.base.model import Arch, PackageFormat, RuntimeChoice
from builder.index.uv import Target, uv_path
from builder.lock import Lock, load_lock
from builder.lock.inputs import is_current, needs_lock
from builder.pack.manifest import write_manifest
from builder.pack.nfpm import Compression
from builder.pack.packing import Artifact, PackRequest, deliver, nfpm_path, pack_stage
from builder.plan import PackagePlan, PlanInput, plan_package
from builder.plan.sources import read_sources
from builder.runtime.choose import provide_runtime
from builder.runtime.distro import distro_depends
from builder.runtime.model import Runtime, RuntimeRequest
from builder.spec import PackageSpec, ReleaseSpec, Spec
from builder.stage.addon_rules import Owners
from builder.stage.stager import Stage, StageInput, find_stage, stage_key, stage_package, target_of
from builder.wheels.files import WheelRequest, fetch_files, prepare_wheels

_TURN_S = 0.2
Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What to build, and how."""

    release: ReleaseSpec
    packages: Sequence[PackageSpec]
    formats: Sequence[PackageFormat]
    archs: Sequence[Arch]
    out: Path
    jobs: int
    offline: bool
    compression: Compression
    runtime: RuntimeChoice
    runtime_request: RuntimeRequest  # its minor, specifier and architecture are set per package
    maintainer: str | None = None
    epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class Built:
    """A delivered package, and the seconds that it took."""

    artifact: Artifact
    path: Path
    files: int
    seconds: float


def plan_packages(request: BuildRequest, spec: Spec, project: Path) -> list[PackagePlan]:
    """The plans of everything asked for; each package once for every architecture it has.

    Raises LockError where a lock is absent or no longer fits the spec.
    """
    given = _plan_input(request, spec, project)
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


def _plan_input(request: BuildRequest, spec: Spec, project: Path) -> PlanInput:
    return PlanInput(
        project=spec.project,
        release=request.release,
        sources=read_sources(project),
        maintainer=request.maintainer,
        packages=[spec.packages[name] for name in request.release.packages],
    )


def _plan_hosts(
    plans: Sequence[PackagePlan], request: BuildRequest, spec: Spec, project: Path
) -> dict[tuple[str, Arch], PackagePlan]:
    """The plan of every add-on's host, asked for or not: the add-on is checked against it."""
    found: dict[tuple[str, Arch], PackagePlan] = {}
    for plan in plans:
        if plan.python is None or plan.python.addon is None or plan.arch is None:
            continue
        host = spec.packages[plan.python.addon.host]
        if (host.name, plan.arch) not in found:
            lock = _current_lock(host, request.release, spec)
            given = _plan_input(request, spec, project)
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


def build(request: BuildRequest, spec: Spec, project: Path, cache: Cache) -> list[Built]:
    """Build everything asked for and deliver it, with its manifest."""
    nfpm_path()  # said now, not after minutes of building
    uv_path()
    _check_out(request.out)
    plans = plan_packages(request, spec, project)
    builder = _Builder(
        request=request,
        spec=spec,
        cache=cache,
        hosts=_plan_hosts(plans, request, spec, project),
        owners=Owners(),
        runtimes={},
        packing=Semaphore(request.jobs),
    )
    builder.prepare_runtimes(plans)
    built = [
        package for made in in_parallel(builder.build, plans, request.jobs) for package in made
    ]
    with cache.locked("manifest"):
        write_manifest(request.out, [package.artifact for package in built])
    return built


def _check_out(out: Path) -> None:
    """A folder that cannot be written is an error now, not after the build."""
    with storage_guard(out):
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".{os.getpid()}.part"
        probe.touch()
        probe.unlink()


def _await(future: "Future[Made]") -> Made:
    """The future's result, waited for in short turns.

    A signal that comes just before the main thread blocks is noticed only when it
    wakes: without the turns, an interrupt could wait for nfpm to end by itself.
    """
    while True:
        wait([future], timeout=_TURN_S)
        if future.done():
            return future.result()


def in_parallel(work: Callable[[Item], Made], items: Sequence[Item], jobs: int) -> list[Made]:
    """``work`` on every item, ``jobs`` at a time; the first error ends it."""
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [_await(future) for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@dataclass(frozen=True, kw_only=True)
class _Builder:
    request: BuildRequest
    spec: Spec
    cache: Cache
    hosts: Mapping[tuple[str, Arch], PackagePlan]
    owners: Owners
    runtimes: dict[tuple[str, Arch], Runtime]
    # nfpm holds a whole deb in memory: no more of them at once than there are jobs.
    packing: Semaphore

    @property
    def _epoch(self) -> int:
        given = self.request.epoch
        return self.request.release.epoch if given is None else given

    def prepare_runtimes(self, plans: Sequence[PackagePlan]) -> None:
        """Get each CPython that the plans need, once."""
        for plan in plans:
            if plan.python is None or plan.arch is None:
                continue
            key = (plan.python.minor, plan.arch)
            if key in self.runtimes:
                continue
            wanted = replace(
                self.request.runtime_request,
                minor=plan.python.minor,
                requires_python=plan.python.requires_python,
                release=self.request.release.version,
                arch=plan.arch,
            )
            self.runtimes[key] = provide_runtime(wanted, self.cache, self.request.runtime)

    def build(self, plan: PackagePlan) -> list[Built]:
        """Stage one plan, pack it in every format, deliver."""
        begun = time.monotonic()
        stage = self._stage(plan)
        if plan.python and plan.python.addon:
            self.owners.claim(plan, stage.root)
        staged = time.monotonic() - begun

        def pack(fmt: PackageFormat) -> Built:
            begun = time.monotonic()
            artifact = self._pack(plan, stage, fmt)
            path = deliver(artifact, self.request.out)
            seconds = staged + time.monotonic() - begun
            return Built(artifact=artifact, path=path, files=stage.files, seconds=seconds)

        return in_parallel(pack, self.request.formats, self.request.jobs)

    def _runtime(self, plan: PackagePlan) -> Runtime | None:
        if plan.python is None or plan.arch is None:
            return None
        return self.runtimes[plan.python.minor, plan.arch]

    def _host(self, plan: PackagePlan) -> Stage | None:
        """The stage that an add-on is put into."""
        if plan.python is None or plan.python.addon is None or plan.arch is None:
            return None
        return self._stage(self.hosts[plan.python.addon.host, plan.arch])

    def _stage(self, plan: PackagePlan) -> Stage:
        arch = plan.arch or self.request.archs[0]
        given = StageInput(
            arch=arch,
            runtime=self._runtime(plan),
            wheels=(),
            samples={},
            epoch=self._epoch,
            libraries=self.spec.project.libraries,
            jobs=self.request.jobs,
            host=self._host(plan),
        )
        found = find_stage(stage_key(plan, given), self.cache)
        if found is not None:
            return found
        samples = _fetch_samples(plan, arch, self.cache, offline=self.request.offline)
        given = replace(given, samples=samples)
        if plan.python and given.runtime:
            needed = WheelRequest(
                distributions=plan.python.wheels,
                build=plan.python.build,
                target=target_of(plan.python, arch),
            )
            wheels = prepare_wheels(
                needed,
                given.runtime.python,
                self.cache,
                epoch=self._epoch,
                offline=self.request.offline,
            )
            given = replace(given, wheels=wheels)
        return stage_package(plan, given, self.cache)

    def _pack(self, plan: PackagePlan, stage: Stage, fmt: PackageFormat) -> Artifact:
        needs = stage.needs.of_format(fmt)
        runtime = self._runtime(plan)
        if runtime and runtime.tree is None:
            needs = (*distro_depends(runtime.minor, fmt), *needs)
        request = PackRequest(
            fmt=fmt,
            depends=needs,
            epoch=self._epoch,
            compression=self.request.compression,
        )
        with self.packing:
            return pack_stage(plan, stage, request, self.cache)


def _fetch_samples(
    plan: PackagePlan, arch: Arch, cache: Cache, *, offline: bool
) -> Mapping[str, Path]:
    """The wheels that samples are taken from: distribution name to path."""
    distributions = {sample.distribution.name: sample.distribution for sample in plan.samples}
    if not distributions or plan.resolved_for is None:
        return {}
    minor, glibc = plan.resolved_for
    needed = WheelRequest(
        distributions=list(distributions.values()),
        build=(),
        target=Target(minor=minor, arch=arch, glibc=glibc),
    )
    paths = fetch_files(needed, cache, offline=offline)
    return {distribution.name: paths[file.sha256] for distribution, file in needed.files()}


def default_jobs() -> int:
    """As many jobs as this process may use processors."""
    return max(1, len(os.sched_getaffinity(0)))


def report_reuse(built: Sequence[Built]) -> None:
    """Say how much of the work was already there."""
    reused = sum(package.artifact.reused for package in built)
    if reused:
        log.step(f"{reused} of {len(built)} packages were in the cache, unchanged")
