"""What a CI job shows of a build: groups in its log, and a summary in Markdown."""

import os
import re
from pathlib import Path

import pytest

from builder.base import log
from builder.base.model import host_arch
from builder.base.timing import phase
from builder.cli.ci_log import log_group, write_summary
from builder.jobs.costs import load_costs, measure_costs, record_costs
from builder.jobs.summary import render_summary, sizes_of
from builder.pack.manifest import load_manifest
from tests.helpers.builds import build_project, write_buildable

_CI = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "GITHUB_STEP_SUMMARY")


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _CI:
        monkeypatch.delenv(name, raising=False)


def logged(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "pattern"),
    [
        (None, r"work\n"),
        ("GITHUB_ACTIONS", r"::group::building 26\.9 ::endgroup::\nwork\n::endgroup::\n"),
        (
            "GITLAB_CI",
            (
                "\033\\[0Ksection_start:\\d+:building_26_9_endgroup\\[collapsed=true\\]\r\033\\[0K"
                "building 26\\.9 ::endgroup::\nwork\n"
                "\033\\[0Ksection_end:\\d+:building_26_9_endgroup\r\033\\[0K\n"
            ),
        ),
    ],
)
def test_a_group_is_folded_as_the_system_wants_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str | None,
    pattern: str,
) -> None:
    if variable:
        monkeypatch.setenv(variable, "true")
    with log_group("building 26.9\n::endgroup::"):
        log.console.print("work")
    assert re.fullmatch(pattern, logged(capsys))


def test_a_group_ends_before_the_error_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with pytest.raises(ValueError, match="broken"), log_group("building"):
        raise ValueError("broken")
    assert logged(capsys).endswith("::endgroup::\n")


def test_a_phase_is_a_line_in_ci(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="builder"):
        with phase("deb", "quiet"):
            pass
        monkeypatch.setenv("CI", "true")
        with phase("deb", "backendai-client"):
            pass
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert re.fullmatch(r"deb backendai-client: \d+\.\d\d s", messages[0])


def test_a_build_becomes_a_table_and_costs(tmp_path: Path) -> None:
    write_buildable(tmp_path)
    first = build_project(tmp_path)
    text = render_summary("1.0.2", first, {}, seconds=12.34, cache="remote cache: 3 hits")
    heading, _, totals, _, columns, _, *rows = text.splitlines()
    assert heading == "## 1.0.2"
    assert totals.startswith(f"{len(first)} packages, ")
    assert totals.endswith("12.3 s; 0 of them were in the cache; remote cache: 3 hits")
    assert len(rows) == len(first)
    for package, row in zip(first, rows, strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == len(columns.strip("|").split("|"))
        assert cells[0] == package.artifact.name
        assert (cells[5], cells[7]) == ("new", "no")
    costs = tmp_path / "costs"
    record_costs(costs, measure_costs(first, host_arch()))
    names = {package.artifact.name for package in first}
    assert set(load_costs(costs)) == {(name, host_arch()) for name in names}

    former = sizes_of(load_manifest(tmp_path / "dist"))
    again = build_project(tmp_path)
    assert measure_costs(again, host_arch()) == []  # a package from the cache says no cost
    rows = render_summary("1.0.2", again, former, seconds=1).splitlines()[6:]
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert (cells[5], cells[7]) == ("0", "yes")

    key = (again[0].artifact.name, again[0].artifact.fmt.value, again[0].artifact.arch)
    size = again[0].artifact.size
    row = render_summary("1.0.2", again[:1], {key: size * 2}, seconds=1).splitlines()[6]
    assert f"{-size / 1e3:,.1f} kB (-50.0%)" in row


def test_a_damaged_manifest_has_no_sizes() -> None:
    whole = {"name": "a", "format": "deb", "arch": "all", "size": 3}
    broken: list[dict[str, object]] = [{}, {**whole, "size": "3"}, {"name": "a", "size": 1}]
    assert sizes_of(broken) == {}
    assert sizes_of([*broken, whole]) == {("a", "deb", "all"): 3}


def test_a_summary_goes_where_it_was_asked_for_or_to_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_summary("nowhere", None)
    own, page = tmp_path / "own.md", tmp_path / "page.md"
    page.write_text("earlier step\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", os.fspath(page))
    write_summary("first\n", None)
    write_summary("second\n", own)
    assert page.read_text() == "earlier step\nfirst\n\n"
    assert own.read_text() == "second\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.md", "page.md"]
