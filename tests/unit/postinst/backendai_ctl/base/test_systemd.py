"""What systemd is asked for."""

import pytest
from backendai_ctl.base import systemd
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.layout import Layout


def test_a_command_is_repeated_while_its_unit_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer of systemd's own; one that exists already, or no systemd-run, is no error."""
    asked: list[list[str]] = []

    def run(words: list[str], *, seconds: float) -> None:
        assert seconds > 0
        asked.append(words)
        raise NotReadyError("`systemd-run`: No such file or directory")

    monkeypatch.setattr(systemd, "run_program", run)
    monkeypatch.setattr(systemd, "has_systemd", lambda _: True)
    systemd.repeat(Layout(), "again", ["/bin/true", "x"], seconds=60, with_unit="a.service")
    (words,) = asked
    assert words[0] == "systemd-run"
    assert {"--unit=again", "--on-active=60s", "--on-unit-inactive=60s"} <= set(words)
    assert "--timer-property=PartOf=a.service" in words
    assert words[-2:] == ["/bin/true", "x"]
    monkeypatch.setattr(systemd, "has_systemd", lambda _: False)
    systemd.repeat(Layout(), "again", ["/bin/true"], seconds=60, with_unit="a.service")
    assert len(asked) == 1


def test_a_start_is_awaited_to_its_end_or_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    states = ["activating", "activating", "active", "failed"]
    monkeypatch.setattr(systemd, "show_unit", lambda _: {"ActiveState": states.pop(0)})
    monkeypatch.setattr(systemd, "_PAUSE_SECONDS", 0)
    systemd.wait_while_starting("backendai-manager.service", 60)
    assert states == ["failed"]
    states[:] = ["activating", "activating"]
    systemd.wait_while_starting("backendai-manager.service", 0)
    assert states == ["activating"]
