"""The guard of the unit tests: none of them starts another program."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from threading import Thread

import pytest

from builder.base.paths import PROJECT
from builder.base.run import run
from builder.plan.render import TOOL_DESCRIPTION
from builder.plan.sources import read_sources
from tests.unit.conftest import _no_other_program


def _in_another_process() -> None:
    process = multiprocessing.get_context("spawn").Process(target=print)
    process.start()
    process.join()


@pytest.mark.parametrize(
    "start",
    [
        lambda: run([sys.executable, "--version"]),
        lambda: subprocess.Popen(["true"]),  # noqa: TID251
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        lambda: os.system("true"),  # noqa: S605, TID251
        _in_another_process,
    ],
)
def test_a_program_is_refused(start: Callable[[], object]) -> None:
    refused = pytest.raises(pytest.fail.Exception, match="a unit test starts")
    with pytest.raises(AssertionError, match="tests/component"), _no_other_program(), refused:
        start()


def test_one_of_a_thread_is_found_at_the_end() -> None:
    def work() -> None:
        with pytest.raises(pytest.fail.Exception):
            run([sys.executable, "--version"])

    with pytest.raises(AssertionError, match="tests/component"), _no_other_program():  # noqa: PT012
        thread = Thread(target=work)
        thread.start()
        thread.join()


def test_the_tool_is_described_whichever_test_is_the_first() -> None:
    with _no_other_program():
        assert b"configure" in read_sources(PROJECT)[TOOL_DESCRIPTION]


def test_a_fork_is_none() -> None:
    with _no_other_program():
        child = os.fork()
        if child == 0:
            os._exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
