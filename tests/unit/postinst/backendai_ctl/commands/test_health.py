"""`status --wait` as who calls it sees it: the exit status, and what holds a host up."""

import argparse
import json
from collections.abc import Mapping

import pytest
from backendai_ctl.base.errors import HostError, Status
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands import health

from tests.unit.postinst.host_views import STOPPED, host_view

ACTIVATING = {**STOPPED, "ActiveState": "activating"}


def wait(
    monkeypatch: pytest.MonkeyPatch, layout: Layout, state: Mapping[str, str], *, as_json: bool
) -> int:
    """Run the command for no time at all, where the manager's unit is in this state."""
    units = {"backendai-manager.service": state}
    monkeypatch.setattr(health, "HostView", lambda layout: host_view(layout, units=units))
    monkeypatch.setattr(health, "has_systemd", lambda _: True)
    (command,) = [command for command in health.COMMANDS if command.name == "status"]
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    words = ["--wait", "0", *(["--json"] if as_json else [])]
    return int(command.run(parser.parse_args(words), layout))


def test_when_time_is_over_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wait(monkeypatch, layout, ACTIVATING, as_json=False) == 75
    printed = capsys.readouterr()
    assert "manager" in printed.out  # the table of services
    assert "error: not all is up after 0 s" in printed.err
    assert "  manager: starting" in printed.err


def test_programs_read_the_end_and_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wait(monkeypatch, layout, ACTIVATING, as_json=True) == Status.TIMEOUT
    table = json.loads(capsys.readouterr().out)
    assert table["wait"]["ended"] == "timeout"
    assert "manager" in [obstacle["service"] for obstacle in table["wait"]["obstacles"]]


def test_without_systemd_there_is_nothing_to_wait_for(
    monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    monkeypatch.setattr(health, "has_systemd", lambda _: False)
    with pytest.raises(HostError, match="no systemd runs here"):
        health.COMMANDS[0].run(argparse.Namespace(wait=0.0, json=False), layout)
