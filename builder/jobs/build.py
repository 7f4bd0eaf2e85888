"""The main job: from spec and locks to packages in the out folder."""

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.base import log
from builder.base.cache import Cache, key_of
from builder.base.model import Arch, PackageFormat, Profile, RuntimeChoice
from builder.index.uv import uv_path
from builder.jobs.base import SharedWheels, pins_of, python_of
from builder.jobs.gates import GatedStage
from builder.jobs.gateway import GatewayJob
from builder.jobs.parallel import Budget, in_parallel
from builder.jobs.plans import Planner, PlanRequest
from builder.jobs.runtimes import Runtimes
from builder.jobs.samples import fetch_samples
from builder.lock.installer import DISTRIBUTION, check_installer
from builder.pack.deliver import check_out, deliver, is_delivered, was_delivered
from builder.pack.manifest import write_manifest
from builder.pack.nfpm import compression_of
from builder.pack.packing import (
    Artifact,
    PackRequest,
    nfpm_path,
    pack_stage,
    package_file,
    packing_memory,
)
from builder.pack.provenance import BuildFacts
from builder.plan import GatewayPlan, PackagePlan
from builder.runtime.distro import distro_depends
from builder.runtime.model import Runtime, RuntimeOptions, runtime_info
from builder.spec import Spec
from builder.spec.gates import load_gates
from builder.stage.addon_rules import Owners
from builder.stage.fit import Fit, check_requirements
from builder.stage.model import Stage, StageFiles, StageInput
from builder.stage.stager import install_request, stage_package, target_of
from builder.wheels.files import prepare_wheels
from builder.wheels.install import InstalledWheel, install_wheels
from builder.wheels.model import WheelFile, WheelRequest

# Bytes of all nfpms at once; with the builder and its compilers below 500 MB.
_PACKING_MEMORY = 280_000_000


@dataclass(frozen=True, kw_only=True)
class BuildRequest(PlanRequest):
    """The packages to build, and how."""

    formats: Sequence[PackageFormat]
    out: Path
    jobs: int
    offline: bool
    profile: Profile
    runtime: RuntimeChoice
    runtime_options: RuntimeOptions
    epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class Built:
    """A delivered package, and the seconds that it took."""

    artifact: Artifact
    path: Path
    files: int
    seconds: float


def build(request: BuildRequest, spec: Spec, project: Path, cache: Cache) -> list[Built]:
    """Build all packages requested and deliver them, with their manifest."""
    nfpm_path()  # raise now, not after minutes of building
    uv_path()
    check_out(request.out)
    plans, builder = _prepare(request, spec, project, cache)
    built = [
        package for made in in_parallel(builder.build, plans, request.jobs) for package in made
    ]
    with cache.locked("manifest"):
        write_manifest(request.out, [package.artifact for package in built])
    return built


def stage_services(
    request: BuildRequest, spec: Spec, project: Path, cache: Cache
) -> list[GatedStage]:
    """Stage the services requested and the runtime below them, for the gates to look at.

    They are whole, and nothing is packed.
    """
    uv_path()
    plans, builder = _prepare(request, spec, project, cache)
    stages = [builder.gated(plan) for plan in plans if spec.packages[plan.name].has_environment]
    below = [builder.gated(plan) for plan in builder.bases.values()]
    return [*(below if stages else ()), *stages]


def _prepare(
    request: BuildRequest, spec: Spec, project: Path, cache: Cache
) -> tuple[list[PackagePlan], "_Builder"]:
    planner = Planner(request, spec, project, cache)
    plans = planner.packages()
    below = _Below(
        hosts=planner.hosts(plans),
        gateways=planner.gateways(plans),
        bases=planner.runtimes(plans),
        runtimes=Runtimes(
            plans, request.release.version, (request.runtime, request.runtime_options), cache
        ),
    )
    return plans, _Builder(request, spec, cache, below)


@dataclass(frozen=True, kw_only=True)
class _Below:
    """What the requested packages lie upon, requested or not."""

    hosts: Mapping[tuple[str, Arch], PackagePlan]  # of add-ons
    gateways: Mapping[str, GatewayPlan]  # what they are checked against, by package
    bases: Mapping[Arch, PackagePlan]  # the packages of the runtime
    runtimes: Runtimes


class _Builder:
    """Builds the packages of one request, several at a time."""

    def __init__(
        self,
        request: BuildRequest,
        spec: Spec,
        cache: Cache,
        below: "_Below",
    ) -> None:
        self.request = request
        self.spec = spec
        self.cache = cache
        self.hosts = below.hosts
        self.gateways = below.gateways
        self.bases = below.bases
        self.runtimes = below.runtimes
        self.owners = Owners()
        self.packing = Budget(jobs=request.jobs, size=_PACKING_MEMORY)
        self.shared = {arch: self._shared_wheels(plan) for arch, plan in below.bases.items()}

    def _epoch(self, plan: PackagePlan) -> int:
        given = self.request.epoch
        return self.request.release.epoch_of(plan.name) if given is None else given

    def _shared_wheels(self, plan: PackagePlan) -> SharedWheels:
        """Return the wheels of the runtime that ``plan`` is of."""
        tree = self._runtime_of(plan).tree
        return SharedWheels(pins_of(plan), tree, lambda: self._installed(plan))

    def build(self, plan: PackagePlan) -> list[Built]:
        """Stage one plan, pack it in every format, and deliver the packages."""
        begun = time.monotonic()
        self._check_fit(plan)
        stage = self._stage(plan)
        if plan.python and plan.python.addon:
            self.owners.claim(plan, stage.paths)
        staged = time.monotonic() - begun

        def pack(fmt: PackageFormat) -> Built:
            begun = time.monotonic()
            artifact = self._deliver(plan, stage, fmt)
            path = self.request.out / artifact.file
            seconds = staged + time.monotonic() - begun
            return Built(artifact=artifact, path=path, files=stage.files, seconds=seconds)

        return in_parallel(pack, self.request.formats, self.request.jobs)

    def gated(self, plan: PackagePlan) -> GatedStage:
        """Return the whole stage of a service or of the runtime, and that of the runtime."""
        assert plan.arch is not None
        own = self._stage(plan, whole=True)
        below = self._stage(self.bases[plan.arch], whole=True)
        return GatedStage(
            package=plan.name,
            service=python_of(plan).prefix.name,
            key=key_of(own.key, below.key),
            root=own.root,
            runtime=below.root,
        )

    def _check_fit(self, plan: PackagePlan) -> None:
        """Check the wheels of the package together with all that lie below it."""
        runtime = self._runtime(plan)
        if plan.python is None or plan.arch is None or runtime is None:
            return
        below = [self.shared[plan.arch]] if plan.python.base else []
        pins = [*pins_of(plan), *(pin for shared in below for pin in shared.pins)]
        hosts = []
        if plan.python.addon:
            hosts = [self.hosts[plan.python.addon.host, plan.arch]]
            pins += [pin for host in hosts for pin in pins_of(host)]

        def wheels() -> list[InstalledWheel]:
            own = [wheel for member in (plan, *hosts) for wheel in self._installed(member)]
            return [*own, *(wheel for shared in below for wheel in shared.wheels())]

        check_requirements(Fit(name=plan.name, pins=pins, wheels=wheels), runtime, self.cache)

    def _installed(self, plan: PackagePlan) -> Sequence[InstalledWheel]:
        runtime = self._runtime_of(plan)
        request = install_request(
            python_of(plan), runtime, epoch=self._epoch(plan), jobs=self.request.jobs
        )
        return install_wheels(self._wheels(plan, runtime), request, self.cache)

    def _runtime_of(self, plan: PackagePlan) -> Runtime:
        runtime = self._runtime(plan)
        assert runtime is not None
        return runtime

    def _runtime(self, plan: PackagePlan) -> Runtime | None:
        return self.runtimes.of(plan)

    def _host(self, plan: PackagePlan) -> Stage | None:
        """Return the stage of an add-on's host."""
        if plan.python is None or plan.python.addon is None or plan.arch is None:
            return None
        return self._stage(self.hosts[plan.python.addon.host, plan.arch])

    def _given(self, plan: PackagePlan) -> StageInput:
        base = None
        if plan.python and plan.python.base and plan.arch:
            base = self.shared[plan.arch].base(self.cache, plan.python.minor)
        return StageInput(
            arch=plan.arch or self.request.archs[0],
            runtime=self._runtime(plan),
            epoch=self._epoch(plan),
            libraries=self.spec.project.libraries,
            jobs=self.request.jobs,
            host=self._host(plan),
            base=base,
            made_of=self._made_of(plan),
            runtime_package=self.spec.project.runtime,
        )

    def _made_of(self, plan: PackagePlan) -> Sequence[str]:
        gateway = self.gateways.get(plan.name)
        return [str(gateway.target), gateway.minor, *gateway.pins] if gateway else []

    def _stage(self, plan: PackagePlan, *, whole: bool = False) -> Stage:
        given = self._given(plan)
        fetch = functools.partial(self._fetch, plan, given)
        return stage_package(plan, given, fetch, self.cache, whole=whole)

    def _fetch(self, plan: PackagePlan, given: StageInput) -> StageFiles:
        """Fetch the wheels and samples of a plan."""
        if plan.python and plan.python.addon and plan.arch:
            # The add-on is checked against the whole host; until now its report was enough.
            self._stage(self.hosts[plan.python.addon.host, plan.arch], whole=True)
        offline = self.request.offline
        samples = fetch_samples(plan, given.arch, self.cache, offline=offline)
        if DISTRIBUTION in samples:
            check_installer(self.spec.root, self.request.release, samples[DISTRIBUTION])
        if plan.python is None or given.runtime is None:
            return StageFiles(samples=samples, made=self._made(plan))
        return StageFiles(wheels=self._wheels(plan, given.runtime), samples=samples)

    def _made(self, plan: PackagePlan) -> Mapping[PurePosixPath, Path]:
        """Make what the payload has beside its sources."""
        gateway = self.gateways.get(plan.name)
        if gateway is None:
            return {}
        job = GatewayJob(
            plan=plan,
            gateway=gateway,
            interpreter=lambda: self.runtimes.interpreter(gateway.minor, gateway.requires_python),
            epoch=self.request.release.epoch,
            jobs=self.request.jobs,
            offline=self.request.offline,
            cache=self.cache,
            known=load_gates(self.spec.root).operation,
        )
        return {gateway.target: job.make()}

    def _wheels(self, plan: PackagePlan, runtime: Runtime) -> list[WheelFile]:
        python = python_of(plan)
        self.runtimes.check(runtime)
        needed = WheelRequest(
            distributions=python.wheels,
            build=python.build,
            target=target_of(python, runtime.arch),
        )
        return prepare_wheels(
            needed,
            runtime.python,
            self.cache,
            # Of the release, not of the package: the wheel is built once for all of them.
            epoch=self.request.release.epoch,
            offline=self.request.offline,
        )

    def _deliver(self, plan: PackagePlan, stage: Stage, fmt: PackageFormat) -> Artifact:
        """Pack, if the cache has no package, and deliver it, if it is not there already."""
        known = was_delivered(self.request.out / package_file(plan, fmt), self.cache)
        artifact = self._pack(plan, stage, fmt, whole=not known)
        if known and is_delivered(artifact, self.request.out, self.cache):
            return artifact
        if known and artifact.reused:  # until now its facts were enough
            artifact = self._pack(plan, stage, fmt, whole=True)
        deliver(artifact, self.request.out, self.cache)
        return artifact

    def _pack(
        self, plan: PackagePlan, stage: Stage, fmt: PackageFormat, *, whole: bool = False
    ) -> Artifact:
        needs = stage.needs.of_format(fmt)
        runtime = self._runtime(plan)
        if runtime and runtime.tree is None and python_of(plan).base is None:
            needs = (*distro_depends(runtime.minor, fmt), *needs)
        request = PackRequest(
            fmt=fmt,
            depends=needs,
            epoch=self._epoch(plan),
            compression=compression_of(self.request.profile, fmt),
            facts=BuildFacts(
                fmt=fmt,
                epoch=self._epoch(plan),
                profile=self.request.profile,
                runtime=runtime_info(runtime),
                arch=self.request.archs[0],
            ),
            whole_stage=lambda: self._stage(plan, whole=True),
        )
        with self.packing.hold(packing_memory(fmt, stage.size)):
            return pack_stage(plan, stage, request, self.cache, whole=whole)


def report_reuse(built: Sequence[Built]) -> None:
    """Report how much of the work was already done."""
    reused = sum(package.artifact.reused for package in built)
    if reused:
        log.step(f"{reused} of {len(built)} packages were in the cache, unchanged")
