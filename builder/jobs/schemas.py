"""Dumps the GraphQL schemas of a release without building its packages."""

from pathlib import Path

from builder.base.cache import Cache
from builder.base.model import RuntimeChoice, host_arch
from builder.base.parse import parse_json
from builder.jobs.gateway import GatewayJob
from builder.jobs.plans import Planner, PlanRequest
from builder.jobs.runtimes import Runtimes
from builder.runtime.model import RuntimeOptions
from builder.spec import ReleaseSpec, Spec


def dump_schemas(
    release: ReleaseSpec, spec: Spec, project: Path, cache: Cache, *, jobs: int
) -> dict[str, str] | None:
    """Return the GraphQL schemas of a release by name; None if it has no gateway."""
    members = [spec.packages[name] for name in release.packages]
    packages = tuple(package for package in members if package.gateway is not None)
    if not packages:
        return None
    planner = Planner(
        PlanRequest(release=release, packages=packages, archs=(host_arch(),)), spec, project, cache
    )
    plans = planner.packages()
    gateway = planner.gateways(plans)[plans[0].name]
    ways = (RuntimeChoice.AUTO, RuntimeOptions(jobs=jobs))
    runtimes = Runtimes(plans, release.version, ways, cache)
    job = GatewayJob(
        plan=plans[0],
        gateway=gateway,
        interpreter=lambda: runtimes.interpreter(gateway.minor, gateway.requires_python),
        epoch=release.epoch,
        jobs=jobs,
        offline=False,
        cache=cache,
    )
    texts = parse_json(job.dump().read_bytes())["plain"]
    return {str(name): str(text) for name, text in texts.items()}
