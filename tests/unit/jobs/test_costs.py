"""The file of costs: what builds have measured, whatever else is in it."""

from pathlib import Path

import pytest

from builder.base.model import Arch
from builder.jobs.costs import (
    MAX_BYTES,
    Sample,
    cost_of,
    load_costs,
    plan_groups,
    record_costs,
)
from builder.spec import Spec
from builder.spec.costs import CostsSpec, load_costs_spec

AGENT = "backendai-agent"


def sample(seconds: float, package: str = AGENT, arch: Arch = Arch.AMD64) -> Sample:
    return Sample(package=package, arch=arch, seconds=seconds)


def test_the_median_of_the_latest_five_counts(tmp_path: Path) -> None:
    path = tmp_path / "costs"
    record_costs(path, [sample(1000), sample(1000), sample(1000)])
    for seconds in (3, 1, 90, 2, 4):
        record_costs(path, [sample(seconds)])
    assert load_costs(path) == {(AGENT, Arch.AMD64): 3}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 10_000,
        b'{"package": "backendai-agent", "arch": "amd64"}',
        b'{"package": "backendai-agent", "arch": "vax", "seconds": 1}',
        b'{"package": "backendai-agent", "arch": [], "seconds": 1}',
        b'{"package": 3, "arch": "amd64", "seconds": 1}',
        b'{"package": "backendai-agent", "arch": "amd64", "seconds": true}',
        b'{"package": "backendai-agent", "arch": "amd64", "seconds": "1"}',
        b'{"package": "backendai-agent", "arch": "amd64", "seconds": NaN}',
        b'{"package": "backendai-agent", "arch": "amd64", "seconds": 1e999}',
        b'{"package": "backendai-agent", "arch": "amd64", "seconds": -1}',
        b'{"package": "backendai-agent", "arch": "amd64", "seconds": 1e300}',
    ],
)
def test_a_damaged_line_is_skipped(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "costs"
    record_costs(path, [sample(5)])
    path.write_bytes(line + b"\n" + path.read_bytes() + line + b"\n")
    record_costs(path, [sample(7, arch=Arch.ARM64)])
    assert load_costs(path) == {(AGENT, Arch.AMD64): 5, (AGENT, Arch.ARM64): 7}


def test_no_file_or_one_that_cannot_be_written_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_costs(None) == load_costs(tmp_path / "none") == load_costs(tmp_path) == {}
    record_costs(tmp_path, [sample(1)])
    assert "BUILDER_COSTS: cannot write" in caplog.text


def test_the_file_stays_small_and_keeps_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "costs"
    for round_ in range(12):
        record_costs(path, [sample(round_, package=f"package{n}") for n in range(500)])
        assert path.stat().st_size <= MAX_BYTES
    assert load_costs(path)["package499", Arch.AMD64] >= 8


def test_a_cost_is_measured_or_from_elsewhere_or_the_default() -> None:
    default = CostsSpec(other=2, seconds={AGENT: 20.0})
    measured = {(AGENT, Arch.AMD64): 7.0}
    assert cost_of(AGENT, Arch.AMD64, measured, default) == 7
    assert cost_of(AGENT, Arch.ARM64, measured, default) == 7
    assert cost_of(AGENT, Arch.AMD64, {}, default) == 20
    assert cost_of("backendai-client", Arch.AMD64, {}, default) == 2


def test_an_addon_is_built_with_its_host_and_only_where_it_exists(real_spec: Spec) -> None:
    release = real_spec.release("26.9")
    groups = plan_groups(real_spec, [release], {}, load_costs_spec(real_spec.root))
    assert [one.name for one in groups] == ["26.9-amd64", "26.9-arm64"]
    for one in groups:
        names = [name for unit in (one.runtime, *one.units) for name in unit.packages]
        made = [name for name in release.packages if one.arch in real_spec.packages[name].archs]
        assert sorted(names) == sorted(made)
        agent = next(unit for unit in one.units if AGENT in unit.packages)
        assert "backendai-accelerator-cuda-open" in agent.packages


def test_the_defaults_name_packages_of_this_project(real_spec: Spec) -> None:
    assert set(load_costs_spec(real_spec.root).seconds) <= set(real_spec.packages)
