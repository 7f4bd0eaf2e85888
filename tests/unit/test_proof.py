"""What a run reports at its end: which long cases have passed, and what each file costs."""

import json
import sys
from pathlib import Path

import pytest

from builder.base.paths import PROJECT
from builder.base.run import run
from tests.costs import as_lines
from tests.proof import Pass, as_page, case_name, load, merge, save

_OLD = Pass(date="2026-11-01T01:00:00+00:00", release="26.9.5-1", commit="a" * 12, seconds=9.0)
_NEW = Pass(date="2026-11-02T01:00:00+00:00", release="26.9.6-1", commit="b" * 12, seconds=70.4)
_CASES = """
import pytest

pytestmark = pytest.mark.full

def test_good(): pass
@pytest.mark.xdist_group("host")
def test_in_a_group(): pass
def test_bad(): assert False
def test_skipped(): pytest.skip("no engine")
@pytest.fixture
def leaking(): yield; raise ValueError
def test_bad_teardown(leaking): pass
"""
# The hooks of this project's own runs, for a folder elsewhere.
_CONFTEST = """
from tests.conftest import (
    pytest_addoption, pytest_collection_modifyitems, pytest_configure
)
"""


def test_the_latest_pass_of_each_case_is_kept() -> None:
    first = {"a": _OLD, "b": _NEW, "c": None}
    second = {"a": _NEW, "b": None, "d": _OLD}
    both = {"a": _NEW, "b": _NEW, "c": None, "d": _OLD}
    assert merge([first, second]) == merge([second, first]) == both


def test_cases_that_no_longer_exist_are_dropped_and_new_ones_are_named() -> None:
    assert merge([{"gone": _NEW, "a": _OLD}], known=["a", "new"]) == {"a": _OLD, "new": None}


def test_the_page_names_what_has_never_passed(tmp_path: Path) -> None:
    record = {"x.py::a[b|c]": _NEW, "x.py::never": None}
    save(tmp_path / "proof.json", record)
    assert load(tmp_path / "proof.json") == record
    page = (tmp_path / "proof.md").read_text()
    assert "1 of 2 cases" in page
    assert "- `x.py::never`" in page
    assert f"| `x.py::a[b\\|c]` | 2026-11-02 01:00 | 26.9.6-1 | {'b' * 12} | 70 |" in page


def test_the_page_in_docs_is_made_from_the_record() -> None:
    record = PROJECT / "docs/proof.json"
    assert as_page(load(record)) == record.with_suffix(".md").read_text()


def test_the_group_that_xdist_appends_is_no_part_of_a_name() -> None:
    assert case_name("x.py::a@host", grouped=True) == "x.py::a"
    assert case_name("x.py::a[me@host]", grouped=False) == "x.py::a[me@host]"


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_run_notes_what_has_passed_and_what_it_costs(tmp_path: Path, workers: str) -> None:
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    (tmp_path / "test_long.py").write_text(_CASES)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "conftest.py").write_text("def pytest_runtest_logreport(report): pass\n")
    (folder / "test_short.py").write_text("def test_short(): pass\n")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n    full: long\n    xdist_group: x\n"
    )
    words = [sys.executable, "-m", "pytest", "-n", workers, "--dist", "loadgroup", "--costs", "1"]
    environment = {"PYTHONPATH": str(PROJECT)}

    def start(**more: str) -> str:
        return run(
            [*words, "--proof", tmp_path / "proof.json", "test_long.py", "folder"],
            cwd=tmp_path,
            env={**environment, **more},
            check=False,
        ).stdout

    start()  # without BUILDER_FULL each case is skipped, which proves nothing
    assert set(load(tmp_path / "proof.json").values()) == {None}
    output = start(BUILDER_FULL="1")
    assert "4 passed, 1 skipped" in output.replace("1 failed, ", "")  # the call of a bad teardown
    record = json.loads((tmp_path / "proof.json").read_text())["cases"]
    passed = {name.partition("::")[2] for name, entry in record.items() if entry}
    assert passed == {"test_good", "test_in_a_group"}
    assert len(record) == 5
    assert "tests  test_long.py" in output


def test_costs_are_summed_by_folder_and_the_slowest_file_comes_first() -> None:
    seconds = {"tests/unit/a.py": 1.0, "tests/unit/b.py": 4.0, "tests/e2e/c.py": 2.5}
    spent = dict.fromkeys(seconds, 0.5)
    lines = [line.split() for line in as_lines(seconds, spent, dict.fromkeys(seconds, 2), 2)]
    assert [(line[0], line[-1]) for line in lines] == [
        ("7.5", "all"),
        ("5.0", "tests/unit/"),
        ("2.5", "tests/e2e/"),
        ("4.0", "tests/unit/b.py"),
        ("2.5", "tests/e2e/c.py"),
    ]
    assert (lines[1][2], lines[1][4]) == ("1.0", "4")
