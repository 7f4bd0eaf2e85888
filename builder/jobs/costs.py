"""What packages cost to build: measured by builds, or else what ``pkgspec/costs.toml`` says.

BUILDER_COSTS names a file that gets a JSON line for each package that a build makes. It stays
small, and a line that cannot be read is skipped: it may be cut, or of another version.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import median

from builder.base import log
from builder.base.errors import StorageError
from builder.base.model import Arch
from builder.base.parse import TextError, parse_json_object
from builder.base.storage import replacing
from builder.jobs.build import Built
from builder.jobs.split import Group, Unit
from builder.spec import ReleaseSpec, Spec
from builder.spec.costs import CostsSpec

VARIABLE = "BUILDER_COSTS"
MAX_BYTES = 256 << 10
_SAMPLES = 5  # of one package, the latest ones
_LONGEST_S = 7 * 24 * 3600

Costs = Mapping[tuple[str, Arch], float]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The seconds that one package took on one architecture, in all formats."""

    package: str
    arch: Arch
    seconds: float


def costs_file() -> Path | None:
    """Return the file that BUILDER_COSTS names, if it names one."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def measure_costs(built: Sequence[Built], arch: Arch) -> list[Sample]:
    """Return what the packages cost that a build has made; ``arch`` is that of the rest.

    The formats are packed side by side: a package costs what the slower one does.
    """
    made = [package for package in built if not package.artifact.reused]
    seconds: dict[tuple[str, Arch], float] = {}
    for package in made:
        artifact = package.artifact
        names = {artifact.fmt.arch_name(member): member for member in Arch}
        key = (artifact.name, names.get(artifact.arch, arch))
        seconds[key] = max(package.seconds, seconds.get(key, 0.0))
    return [
        Sample(package=name, arch=of, seconds=round(cost, 2))
        for (name, of), cost in seconds.items()
    ]


def record_costs(path: Path, samples: Iterable[Sample]) -> None:
    """Append samples; a file that grows too long keeps its newer half. Never raises."""
    lines = "".join(
        json.dumps({"package": one.package, "arch": one.arch.value, "seconds": one.seconds}) + "\n"
        for one in samples
    )
    if not lines:
        return
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(lines)
        if path.stat().st_size > MAX_BYTES:
            kept = path.read_bytes()[-MAX_BYTES // 2 :].partition(b"\n")[2]
            with replacing(path) as part:
                part.write_bytes(kept)
    except (OSError, StorageError) as error:
        log.warn(f"{VARIABLE}: cannot write {path}: {error}")


def load_costs(path: Path | None) -> Costs:
    """Return the median of the latest samples; none if the file is missing or damaged."""
    samples: dict[tuple[str, Arch], list[float]] = defaultdict(list)
    try:
        text = path.read_bytes()[-MAX_BYTES:] if path is not None else b""
    except OSError:
        text = b""
    for line in text.splitlines():
        sample = _parse(line)
        if sample is not None:
            samples[sample.package, sample.arch].append(sample.seconds)
    return {key: median(seconds[-_SAMPLES:]) for key, seconds in samples.items()}


def _parse(line: bytes) -> Sample | None:
    try:
        table = parse_json_object(line)
        package, arch, seconds = table["package"], Arch(table["arch"]), table["seconds"]
    except (TextError, KeyError, ValueError, TypeError):
        return None
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not isinstance(package, str) or not is_number or not isfinite(seconds):
        return None
    if not 0 <= seconds <= _LONGEST_S:
        return None
    return Sample(package=package, arch=arch, seconds=float(seconds))


def cost_of(package: str, arch: Arch, measured: Costs, default: CostsSpec) -> float:
    """Return the seconds of a package: measured here, on another architecture, or the default."""
    others = [measured[package, other] for other in Arch if (package, other) in measured]
    if (package, arch) in measured:
        return measured[package, arch]
    return others[0] if others else default.seconds.get(package, default.other)


def plan_groups(
    spec: Spec, releases: Iterable[ReleaseSpec], measured: Costs, default: CostsSpec
) -> list[Group]:
    """Return each release on each architecture, with what its packages cost. Pure."""
    return [_group(spec, release, arch, measured, default) for release in releases for arch in Arch]


def _group(
    spec: Spec, release: ReleaseSpec, arch: Arch, measured: Costs, default: CostsSpec
) -> Group:
    made: dict[str, list[str]] = {}
    for name in release.packages:
        package = spec.packages[name]
        if arch in package.archs:
            host = package.addon.host if package.addon else name
            made.setdefault(host, []).append(name)
    units = {
        host: Unit(
            packages=tuple(names),
            seconds=sum(cost_of(name, arch, measured, default) for name in names),
        )
        for host, names in made.items()
    }
    runtime = units.pop(spec.project.runtime)
    return Group(release=release.name, arch=arch, runtime=runtime, units=tuple(units.values()))
