"""What a run reports at its end: which long cases have passed, and what each file costs."""

import json
import sys
from pathlib import Path

import pytest

from builder.base.paths import PROJECT
from builder.base.run import run
from tests.costs import as_lines
from tests.proof import load

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
