"""Who is started once the stores are filled, and who still waits."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from backendai_ctl.base import systemd
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.programs import Done
from backendai_ctl.seed import starting
from backendai_ctl.seed.starting import start_waiting


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What systemctl was asked; every store has what is needed."""
    commands: list[str] = []

    def run_program(command: Sequence[str], *, seconds: float) -> Done:
        assert seconds > 0
        commands.append(" ".join(command[1:]))
        return Done(status=0, stdout="", stderr="")

    monkeypatch.setattr(systemd, "run_program", run_program)
    monkeypatch.setattr(starting, "has_systemd", lambda _: True)
    monkeypatch.setattr(starting, "load_recipe", lambda _, service: service)
    monkeypatch.setattr(starting, "check_needs", lambda *_: None)
    return commands


def waits(layout: Layout, service: str) -> Path:
    """The note that a maintainer script leaves."""
    path = layout.waiting / service
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_what_waits_is_started_once(layout: Layout, asked: list[str]) -> None:
    note = waits(layout, "manager")
    assert start_waiting(layout, lambda _: None) == {}
    unit = "backendai-manager.service"
    assert asked == [f"is-enabled {unit}", f"start --no-block {unit}"]
    assert not note.exists()
    assert start_waiting(layout, lambda _: None) == {}
    assert len(asked) == 2


def test_what_lacks_something_waits_on(
    layout: Layout, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(*_: object) -> None:
        raise NotReadyError("nothing answers")

    monkeypatch.setattr(starting, "check_needs", lacks)
    note = waits(layout, "manager")
    assert start_waiting(layout, lambda _: None) == {"manager": "nothing answers"}
    assert note.exists()
    assert asked == []


def test_before_the_stores_are_filled_only_a_service_without_a_database_starts(
    layout: Layout, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def recipe(_: Layout, service: str) -> object:
        database = "db" if service == "manager" else None
        return SimpleNamespace(needs=SimpleNamespace(database=database))

    monkeypatch.setattr(starting, "load_recipe", recipe)
    for service in ("manager", "storage-proxy"):
        waits(layout, service)
    left = start_waiting(layout, lambda _: None, is_filled=False)
    assert left == {"manager": "its stores are not filled"}
    assert asked[-1] == "start --no-block backendai-storage-proxy.service"
    assert start_waiting(layout, lambda _: None) == {}


def test_a_database_that_is_not_upgraded_keeps_its_service_waiting(
    layout: Layout, asked: list[str]
) -> None:
    note = waits(layout, "manager")
    layout.failure_note("manager").parent.mkdir(parents=True)
    layout.failure_note("manager").write_text("column exists\n")
    assert start_waiting(layout, lambda _: None) == {"manager": "its database is not upgraded"}
    assert note.exists()
    assert asked == []
