"""The wheels that samples of a package are extracted from."""

from collections.abc import Mapping
from pathlib import Path

from builder.base.cache import Cache
from builder.base.model import Arch
from builder.index.uv import Target
from builder.plan import PackagePlan
from builder.wheels.files import fetch_files
from builder.wheels.model import WheelRequest


def fetch_samples(
    plan: PackagePlan, arch: Arch, cache: Cache, *, offline: bool
) -> Mapping[str, Path]:
    """Fetch the wheels that samples come from; returns distribution name to path."""
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
