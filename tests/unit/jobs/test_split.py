"""``builder matrix --jobs``: jobs of about the same cost, each package in one of them."""

import json
import os
import random
from itertools import product

import pytest
from click.testing import CliRunner

from builder.base.errors import UsageError
from builder.base.model import Arch
from builder.cli import main
from builder.jobs.matrix import github_split, gitlab_split, split_rows
from builder.jobs.split import Group, SplitJob, Unit, ends, longest_first, split_jobs

_SEEDS = 20 if os.environ.get("BUILDER_FULL") else 6


def group(release: str, arch: Arch, runtime: float, costs: list[float]) -> Group:
    units = [
        Unit(packages=(f"service{number}", f"addon{number}"), seconds=cost)
        for number, cost in enumerate(costs)
    ]
    return Group(
        release=release,
        arch=arch,
        runtime=Unit(packages=("runtime",), seconds=runtime),
        units=tuple(units),
    )


def built(jobs: list[SplitJob], groups: list[Group]) -> list[tuple[str, Arch, str]]:
    """Return each package that the jobs build, with its release and architecture."""
    everything = {
        (one.release, one.arch): [
            name for unit in (one.runtime, *one.units) for name in unit.packages
        ]
        for one in groups
    }
    return sorted(
        (share.release, job.arch, name)
        for job in jobs
        for share in job.shares
        for name in share.packages or everything[share.release, job.arch]
    )


def test_the_longest_goes_first_to_the_emptiest() -> None:
    assert longest_first([1, 5, 4, 3, 3], 2) == [[1, 4], [0, 2, 3]]
    assert longest_first([1], 3) == [[0]]
    assert longest_first([], 3) == []


@pytest.mark.parametrize("seed", range(_SEEDS))
def test_longest_first_is_at_most_a_third_from_the_best(seed: int) -> None:
    shuffle = random.Random(seed)
    costs = [shuffle.randint(1, 50) for _ in range(shuffle.randint(1, 8))]
    bins = shuffle.randint(1, 3)
    best = min(
        max(sum(c for c, to in zip(costs, places, strict=True) if to == b) for b in range(bins))
        for places in product(range(bins), repeat=len(costs))
    )
    found = max(sum(costs[index] for index in members) for members in longest_first(costs, bins))
    assert found <= best * (4 / 3 - 1 / (3 * bins)) + 1e-9


@pytest.mark.parametrize("seed", range(_SEEDS))
def test_every_package_is_in_one_job_and_more_jobs_end_no_later(seed: int) -> None:
    shuffle = random.Random(seed)
    groups = [
        group(
            str(number),
            arch,
            shuffle.uniform(1, 60),
            [shuffle.uniform(0, 40) for _ in range(shuffle.randint(0, 9))],
        )
        for number in range(shuffle.randint(1, 4))
        for arch in Arch
    ]
    whole = built(split_jobs(groups, 2), groups)
    earlier = float("inf")
    for count in range(2, 30):
        jobs = split_jobs(groups, count)
        assert len(jobs) <= count
        assert built(jobs, groups) == whole
        assert len({job.name for job in jobs}) == len(jobs)
        waited = {name for job in jobs for name in job.needs}
        assert waited <= {job.name for job in jobs if not job.needs}
        assert ends(jobs) <= earlier + 1e-9
        earlier = ends(jobs)


def test_services_wait_for_the_runtime_of_their_release() -> None:
    jobs = split_jobs([group("26.9", Arch.AMD64, 10, [30, 30])], 3)
    assert [(job.name, job.seconds, job.needs) for job in jobs] == [
        ("26.9-amd64-runtime", 10, ()),
        ("26.9-amd64-1", 30, ("26.9-amd64-runtime",)),
        ("26.9-amd64-2", 30, ("26.9-amd64-runtime",)),
    ]
    assert ends(jobs) == 40


def test_no_job_is_made_that_ends_nothing_earlier() -> None:
    # Two jobs would only wait for each other; and one architecture decides when all ends.
    assert len(split_jobs([group("26.9", Arch.AMD64, 10, [30, 30])], 2)) == 1
    groups = [group("26.9", Arch.AMD64, 100, []), group("26.9", Arch.ARM64, 10, [20, 20])]
    assert len(split_jobs(groups, 9)) == 2


def test_fewer_jobs_than_architectures_are_refused() -> None:
    groups = [group("26.9", arch, 10, []) for arch in Arch]
    with pytest.raises(UsageError, match="each of the 2 architectures needs a job of its own"):
        split_jobs(groups, 1)
    assert split_jobs([], 1) == []


def test_jobs_of_a_split_say_what_to_run_and_what_to_wait_for() -> None:
    groups = [
        group("26.9", Arch.AMD64, 10, [30, 30]),
        group("26.8", Arch.ARM64, 1, []),
        group("26.9", Arch.ARM64, 1, []),
    ]
    jobs = split_jobs(groups, 4)
    rows = {str(row["name"]): row for row in split_rows(jobs)}
    assert rows["26.8-arm64 26.9-arm64"]["script"] == (
        ".ci/build 26.8 arm64 && .ci/build 26.9 arm64"
    )
    assert rows["26.9-amd64-1"]["script"] == ("BUILDER_PART=1 .ci/build 26.9 amd64 service0 addon0")
    halves = json.loads(json.dumps(github_split(jobs)))
    assert [row["name"] for row in halves["second"]["include"]] == ["26.9-amd64-1", "26.9-amd64-2"]
    pipeline = json.loads(json.dumps(gitlab_split(jobs)))
    assert pipeline["build 26.9-amd64-2"]["needs"] == [
        {"job": "build 26.9-amd64-runtime", "artifacts": False}
    ]
    assert "needs" not in pipeline["build 26.9-amd64-runtime"]
    needed = [need["job"] for need in pipeline["publish"]["needs"] if "optional" not in need]
    assert needed == [f"build {job.name}" for job in jobs]


def test_the_command_splits_this_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUILDER_COSTS", raising=False)
    options = ["matrix", "--release", "26.9", "--jobs", "6", "--json"]
    table = json.loads(CliRunner().invoke(main, options).stdout)
    assert len(table["include"]) <= 6
    longest = max(row["seconds"] for row in table["include"] if row["needs"])
    assert longest < table["seconds"] < sum(row["seconds"] for row in table["include"])
    agent = [row for row in table["include"] if "backendai-agent " in str(row["script"])]
    assert agent
    for row in agent:
        assert "backendai-accelerator-cuda-open" in row["script"]  # checked against its host
