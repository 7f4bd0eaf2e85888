"""A night of many lines on a farm of runners, simulated: ``python -m tests.bench.farm [--docs]``.

Each line has the packages of the default release, for both architectures and in both formats.
Jobs and their order are those of ``builder matrix --jobs``; what a package costs is read from
``pkgspec/costs.toml``. What a package of the remote cache costs was measured (release guide).
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from builder.base.paths import PKGSPEC, PROJECT
from builder.jobs.costs import plan_groups
from builder.jobs.split import Group, SplitJob, Unit, ends, split_jobs
from builder.spec import Spec, load_spec
from builder.spec.costs import CostsSpec, load_costs_spec
from tests.bench.chart import draw

LINES = 10
RUNNERS = (2, 4, 8, 16, 32, 64)
_AGENT = "backendai-agent"
# Measured over loopback: 22 packages in both formats in 3.7 s, 1.3 of them to read and to plan.
_FETCH_S = (3.7 - 1.3) / 22
START_S = 1.3


@dataclass(frozen=True, kw_only=True)
class Night:
    """One case on a number of runners."""

    case: str
    runners: int
    jobs: int
    seconds: float  # from the first start to the last end
    busy: float  # seconds of all runners


def simulate(spec: Spec, costs: CostsSpec) -> list[Night]:
    """Return every case on every number of runners. Pure."""
    release = spec.release(None)
    everything = set(release.packages)
    addons = {
        name
        for name, package in spec.packages.items()
        if package.addon and package.addon.host == _AGENT
    }
    changed: Mapping[str, set[str]] = {
        "cold": everything,
        "a shared wheel changed": {spec.project.runtime},
        "a wheel of the agent changed": {_AGENT} | addons,
        "warm": set(),
    }
    nights = []
    for case, made in changed.items():
        warm = dict.fromkeys(everything - made, _FETCH_S)
        given = CostsSpec(other=costs.other, seconds={**costs.seconds, **warm})
        groups = [
            replace(group, release=f"line{line}")
            for line in range(1, LINES + 1)
            for group in plan_groups(spec, [release], {}, given)
        ]
        nights += [_night(case, groups, runners) for runners in RUNNERS]
    return nights


def _night(case: str, groups: Sequence[Group], runners: int) -> Night:
    # A line of a job reads its release and plans before it builds anything.
    begun = [replace(group, runtime=_later(group.runtime)) for group in groups]
    jobs = [_started(job) for job in split_jobs(begun, runners)]
    busy = sum(job.seconds for job in jobs)
    return Night(case=case, runners=runners, jobs=len(jobs), seconds=ends(jobs), busy=busy)


def _later(unit: Unit) -> Unit:
    return replace(unit, seconds=unit.seconds + START_S)


def _started(job: SplitJob) -> SplitJob:
    """Add the start of a job that another one's runtime does not have in it."""
    return replace(job, seconds=job.seconds + START_S) if job.needs else job


def write_page(nights: Sequence[Night], packages: int) -> str:
    """Return the page of the docs."""
    cases = list(dict.fromkeys(night.case for night in nights))
    found = {(night.case, night.runners): night for night in nights}
    lines = [
        "# A night on a farm of runners",
        "",
        "Simulated by `python -m tests.bench.farm --docs`, not measured: the jobs are those of",
        "`builder matrix --jobs`, the costs those of `pkgspec/costs.toml` (two cores), without",
        "the start of a runner, its checkout and `make setup`, and with inputs in the cache.",
        f"{LINES} lines, {packages} packages each, two formats, two architectures, which share the",
        "runners by what they have to do; a remote cache as over loopback.",
        "",
        "![minutes of a night](farm.svg)",
        "",
        f"| runners | {' | '.join(f'{case}: minutes (jobs)' for case in cases)} |",
        f"|---:|{'---:|' * len(cases)}",
    ]
    for runners in RUNNERS:
        cells = [found[case, runners] for case in cases]
        texts = [f"{night.seconds / 60:.1f} ({night.jobs})" for night in cells]
        lines.append(f"| {runners} | {' | '.join(texts)} |")
    few, many = (found["cold", runners] for runners in (RUNNERS[0], RUNNERS[-1]))
    gain = f"{few.seconds / many.seconds:.1f} times as early"
    lines += [
        "",
        f"A cold night is {few.busy / 3600:.1f} hours of runners. {many.runners} instead of",
        f"{few.runners} end it {gain}: the services wait for the runtime of their line.",
        "Where fewer jobs than runners are shown, another job would end nothing earlier.",
        "",
    ]
    return "\n".join(lines)


def draw_nights(nights: Sequence[Night]) -> str:
    """Return the chart."""
    bars = [
        (f"{night.case}, {night.runners} runners", (night.seconds / 60,))
        for night in nights
        if night.runners in RUNNERS[::2] or night.runners == RUNNERS[-1]
    ]
    return draw(f"A night of {LINES} lines, simulated", "min", bars)


def documents() -> dict[str, str]:
    """Return the files of the docs, by name."""
    spec = load_spec(PKGSPEC)
    nights = simulate(spec, load_costs_spec(PKGSPEC))
    page = write_page(nights, len(spec.release(None).packages))
    return {"farm.md": page, "farm.svg": draw_nights(nights)}


def main() -> None:
    """Print the page, or write it and the chart with ``--docs``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="write page and chart into docs/")
    made = documents()
    if not parser.parse_args().docs:
        sys.stdout.write(made["farm.md"])
        return
    for name, text in made.items():
        Path(PROJECT, "docs/reference", name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
