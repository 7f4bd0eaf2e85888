"""What each test costs, by file and by folder, printed at the end of a run.

A second is one of a worker: with two workers a run takes about half of the sum. Beside it is the
time of the processor that the worker and the programs it ran to their end have taken, which is
the same on a busy machine. What runs on hosts is not in it: the engine started that.
"""

import os
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
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


def processor_seconds() -> float:
    """Return what this process and its ended children have taken, in user and kernel mode."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


class Meter:
    """Notes in each report what its phase has taken of the processor; one in every worker."""

    def __init__(self) -> None:
        self._before = processor_seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add the attribute, which xdist carries to the process that sees all workers."""
        report = yield
        now = processor_seconds()
        report.processor = now - self._before  # type: ignore[attr-defined]
        self._before = now
        return report


@dataclass(eq=False)  # see Proof
class Costs:
    """The seconds of each test file: set-up, call and teardown of all its tests."""

    shown: int
    processor: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    tests: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what a phase of a test took, on whichever worker."""
        name = report.nodeid.partition("::")[0]
        self.seconds[name] += report.duration
        self.processor[name] += getattr(report, "processor", 0.0)
        self.tests[name] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        terminalreporter.section("cost in seconds of workers, and of the processor")
        for line in as_lines(self.seconds, self.processor, self.tests, self.shown):
            terminalreporter.write_line(line)


def as_lines(
    seconds: Mapping[str, float],
    processor: Mapping[str, float],
    tests: Mapping[str, int],
    shown: int,
) -> Iterable[str]:
    """Return the table: the sum, the sum of each folder, and the ``shown`` slowest files."""
    folders: dict[str, float] = defaultdict(float)
    spent: dict[str, float] = defaultdict(float)
    cases: dict[str, int] = defaultdict(int)
    for name, cost in seconds.items():
        folder = "/".join(PurePosixPath(name).parts[:2])
        folders[folder] += cost
        spent[folder] += processor.get(name, 0.0)
        cases[folder] += tests.get(name, 0)
    yield _line(sum(seconds.values()), sum(processor.values()), sum(tests.values()), "all")
    for folder, cost in _slowest(folders):
        yield _line(cost, spent[folder], cases[folder], f"{folder}/")
    for name, cost in _slowest(seconds)[:shown]:
        yield _line(cost, processor.get(name, 0.0), tests.get(name, 0), name)


def _slowest(costs: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(costs.items(), key=lambda item: (-item[1], item[0]))


def _line(cost: float, spent: float, count: int, name: str) -> str:
    return f"{cost:8.1f} s {spent:8.1f} s  {count:5} tests  {name}"
