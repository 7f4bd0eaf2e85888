"""The state survives what may happen to it, and a second command waits for the first."""

import multiprocessing
import time
from pathlib import Path

import pytest

from builder.repo.state import open_state
from tests.helpers.repos import write_repository

_HOLD_S = 0.5


def _hold(root: Path, taken: "multiprocessing.synchronize.Event") -> None:
    with open_state(root):
        taken.set()
        time.sleep(_HOLD_S)


def test_a_second_command_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_repository(tmp_path / "repo")
    context = multiprocessing.get_context("spawn")
    taken = context.Event()
    holder = context.Process(target=_hold, args=(root, taken))
    holder.start()
    assert taken.wait(30)
    caplog.set_level("INFO", "builder")
    with open_state(root):
        assert not holder.is_alive() or caplog.text
    holder.join()
    assert "waiting for another command that changes this repository" in caplog.text
