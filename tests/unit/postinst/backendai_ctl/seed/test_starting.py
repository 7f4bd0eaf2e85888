"""Who is started once the stores are filled, who is held until then, and who still waits."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from backendai_ctl.base import systemd
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.programs import Done
from backendai_ctl.seed import starting
from backendai_ctl.seed.model import Finding, State, StepResult
from backendai_ctl.seed.starting import held_starts, start_waiting
from backendai_ctl.seed.state import Report, save_report


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


_UNIT = "backendai-manager.service"
_AT_ONCE = f"start --no-block --job-mode=ignore-dependencies {_UNIT}"


@pytest.fixture
def held(layout: Layout, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that holds a manager, which was installed and has not run; ``asked`` is empty."""
    assert asked == []
    recipe = SimpleNamespace(first_start=object(), needs=SimpleNamespace(database="db"))
    monkeypatch.setattr(starting, "load_recipe", lambda *_: recipe)
    waits(layout, "manager")
    layout.seed_state.mkdir(parents=True, exist_ok=True)
    layout.held("manager").parent.mkdir(parents=True)
    return layout.held("manager")


def test_a_server_imports_while_its_stores_are_filled(
    layout: Layout, asked: list[str], held: Path
) -> None:
    with held_starts(layout, lambda _: None, may_start=True) as services:
        assert asked[-1] == _AT_ONCE
        assert held.exists()
        services.are_filled = True
    assert held.exists()
    assert start_waiting(layout, lambda _: None) == {}
    assert not held.exists()
    assert asked[-1] == f"start --no-block {_UNIT}"


def test_what_is_installed_meanwhile_is_held_too(
    layout: Layout, asked: list[str], held: Path
) -> None:
    layout.held("webserver").parent.mkdir(parents=True)
    with held_starts(layout, lambda _: None, may_start=True) as services:
        assert held.exists()
        waits(layout, "webserver")
        services.begin()
        assert asked[-1] == _AT_ONCE.replace("manager", "webserver")
        count = len(asked)
        services.begin()
        assert len(asked) == count


def test_what_was_held_starts_before_the_others(
    layout: Layout, asked: list[str], held: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(unit: str, seconds: float) -> None:
        assert seconds > 0
        asked.append(f"wait {unit}")

    monkeypatch.setattr(starting, "wait_while_starting", wait)
    held.touch()
    waits(layout, "graphql")
    assert start_waiting(layout, lambda _: None) == {}
    assert [line for line in asked if not line.startswith("is-enabled")] == [
        f"start --no-block {_UNIT}",
        f"wait {_UNIT}",
        "start --no-block backendai-graphql.service",
    ]


def test_a_held_server_is_stopped_where_the_stores_are_not_filled(
    layout: Layout, asked: list[str], held: Path
) -> None:
    with pytest.raises(KeyboardInterrupt), held_starts(layout, lambda _: None, may_start=True):
        raise KeyboardInterrupt
    assert asked[-2:] == [f"stop {_UNIT}", f"reset-failed {_UNIT}"]
    assert not held.exists()
    assert (layout.waiting / "manager").exists()


def test_what_a_killed_run_left_is_stopped_by_the_next_that_fails(
    layout: Layout, asked: list[str], held: Path
) -> None:
    held.touch()
    with held_starts(layout, lambda _: None, may_start=True):
        assert asked == []
    assert asked == [f"stop {_UNIT}", f"reset-failed {_UNIT}"]
    assert not held.exists()


def test_only_the_first_seeding_starts_a_server_early(
    layout: Layout, asked: list[str], held: Path
) -> None:
    finding = Finding(state=State.WAITING, detail="PostgreSQL does not answer")
    results = [StepResult.of("manager", "database", finding)]
    save_report(layout, Report(complete=False, results=results, notes=[], seconds=60))
    with held_starts(layout, lambda _: None, may_start=True):
        assert not held.exists()
    assert asked == []


@pytest.mark.parametrize("kept", ["disabled", "active", "not now", "not upgraded"])
def test_a_server_that_must_not_start_is_not_started_early(
    layout: Layout, asked: list[str], held: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    monkeypatch.setattr(starting, "is_enabled", lambda _: kept != "disabled")
    monkeypatch.setattr(starting, "is_active", lambda _: kept == "active")
    if kept == "not upgraded":
        layout.failure_note("manager").parent.mkdir(parents=True)
        layout.failure_note("manager").touch()
    with held_starts(layout, lambda _: None, may_start=kept != "not now"):
        assert not held.exists()
    assert asked == []
