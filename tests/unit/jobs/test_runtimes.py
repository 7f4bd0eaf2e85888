"""The CPythons of a build: identified by their records, checked when they are used."""

from dataclasses import replace
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import RuntimeUnavailableError
from builder.base.model import RuntimeChoice
from builder.jobs.runtimes import Runtimes
from builder.plan import PackagePlan
from builder.runtime.model import Runtime, RuntimeRequest
from tests.helpers.builds import fake_runtime
from tests.helpers.specs import load_example, plan_example
from tests.helpers.trees import make_request


class _Provided:
    """Stands for provide_runtime, and notes what was wanted."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.whole: list[bool] = []

    def __call__(
        self, request: RuntimeRequest, _cache: Cache, _choice: RuntimeChoice, **_: object
    ) -> Runtime:
        self.whole.append(request.whole)
        return self.runtime


@pytest.fixture
def provided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Provided:
    stand_in = _Provided(fake_runtime(tmp_path))
    monkeypatch.setattr("builder.jobs.runtimes.provide_runtime", stand_in)
    return stand_in


@pytest.fixture
def plan(tmp_path: Path) -> PackagePlan:
    return plan_example(load_example(tmp_path))


def runtimes(plan: PackagePlan, cache: Cache) -> Runtimes:
    ways = (RuntimeChoice.ARCHIVE, make_request())
    return Runtimes([plan, plan], "1.0.2", ways, cache)


def test_a_runtime_is_checked_once_and_only_if_it_is_used(
    provided: _Provided, plan: PackagePlan, cache: Cache
) -> None:
    found = runtimes(plan, cache)
    runtime = found.of(plan)
    assert provided.whole == [False]
    assert runtime == provided.runtime
    found.check(runtime)
    found.check(runtime)
    assert provided.whole == [False, True]


def test_a_plan_without_a_python_has_no_runtime(
    provided: _Provided, plan: PackagePlan, cache: Cache
) -> None:
    other = replace(plan, python=None)
    assert Runtimes([other], "1.0.2", (RuntimeChoice.AUTO, make_request()), cache).of(other) is None
    assert provided.whole == []


def test_another_runtime_in_place_of_a_damaged_one_ends_the_build(
    provided: _Provided, plan: PackagePlan, cache: Cache
) -> None:
    found = runtimes(plan, cache)
    provided.runtime, before = replace(provided.runtime, key="other"), provided.runtime
    with pytest.raises(RuntimeUnavailableError, match="was damaged") as caught:
        found.check(before)
    assert "run the build again" in str(caught.value.hint)
