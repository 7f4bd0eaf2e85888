"""Work in parallel within a budget."""

import threading
import time

import pytest

from builder.base.model import PackageFormat
from builder.jobs.parallel import Budget, in_parallel
from builder.pack.packing import packing_memory


def run(budget: Budget, sizes: list[int]) -> tuple[int, int]:
    """Hold all of ``sizes`` in threads; returns the most jobs and the most bytes at once."""
    mutex, running, seen = threading.Lock(), [0, 0], [0, 0]

    def work(size: int) -> None:
        with budget.hold(size):
            with mutex:
                running[0] += 1
                running[1] += size
                seen[:] = [max(pair) for pair in zip(seen, running, strict=True)]
            time.sleep(0.01)
            with mutex:
                running[0] -= 1
                running[1] -= size

    in_parallel(work, sizes, len(sizes))
    return seen[0], seen[1]


def test_no_more_memory_is_used_at_once_than_there_is() -> None:
    jobs, size = run(Budget(jobs=8, size=100), [60, 50, 40, 30, 20, 10, 60, 40])
    assert size <= 100
    assert jobs > 1


def test_no_more_jobs_run_at_once_than_there_are() -> None:
    assert run(Budget(jobs=2, size=100), [1] * 8)[0] == 2


def test_work_that_needs_more_than_all_runs_alone() -> None:
    assert run(Budget(jobs=8, size=100), [500, 500, 1, 500]) == (1, 500)


def test_a_failure_gives_back_what_it_held() -> None:
    budget = Budget(jobs=1, size=10)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), budget.hold(10):
            _ = 1 / 0
    assert run(budget, [10]) == (1, 10)


def test_a_deb_needs_memory_by_its_size_and_an_rpm_does_not() -> None:
    small, large = 10_000_000, 260_000_000
    assert packing_memory(PackageFormat.DEB, large) > packing_memory(PackageFormat.DEB, small)
    assert packing_memory(PackageFormat.RPM, large) == packing_memory(PackageFormat.RPM, small)
