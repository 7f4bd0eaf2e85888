"""What each test costs, by file and by folder, printed at the end of a run.

A second is one of a worker: with two workers a run takes about half of the sum.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --costs."""
    parser.addoption(
        "--costs",
        type=int,
        metavar="N",
        help="print the N files whose tests cost most, and the sum of each folder",
    )


@dataclass(eq=False)  # see Proof
class Costs:
    """The seconds of each test file: set-up, call and teardown of all its tests."""

    shown: int
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    tests: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what a phase of a test took, on whichever worker."""
        name = report.nodeid.partition("::")[0]
        self.seconds[name] += report.duration
        self.tests[name] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        terminalreporter.section("cost in seconds of workers")
        for line in as_lines(self.seconds, self.tests, self.shown):
            terminalreporter.write_line(line)


def as_lines(seconds: Mapping[str, float], tests: Mapping[str, int], shown: int) -> Iterable[str]:
    """Return the table: the sum, the sum of each folder, and the ``shown`` slowest files."""
    folders: dict[str, float] = defaultdict(float)
    cases: dict[str, int] = defaultdict(int)
    for name, cost in seconds.items():
        folder = "/".join(PurePosixPath(name).parts[:2])
        folders[folder] += cost
        cases[folder] += tests.get(name, 0)
    yield _line(sum(seconds.values()), sum(tests.values()), "all")
    for folder, cost in _slowest(folders):
        yield _line(cost, cases[folder], f"{folder}/")
    for name, cost in _slowest(seconds)[:shown]:
        yield _line(cost, tests.get(name, 0), name)


def _slowest(costs: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(costs.items(), key=lambda item: (-item[1], item[0]))


def _line(cost: float, count: int, name: str) -> str:
    return f"{cost:8.1f} s  {count:5} tests  {name}"
