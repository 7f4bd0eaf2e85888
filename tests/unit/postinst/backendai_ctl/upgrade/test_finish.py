"""The end of a transaction: what was pending is migrated, and restarted once."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from backendai_ctl.base import systemd
from backendai_ctl.base.errors import NotReadyError, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.programs import Done
from backendai_ctl.seed.session import SeededDatabase, Session
from backendai_ctl.stores.postgresql import NoDatabaseError
from backendai_ctl.upgrade import batch, finish, pending
from backendai_ctl.upgrade.dump import Dumper
from backendai_ctl.upgrade.finish import Finish
from backendai_ctl.upgrade.migrate import NotBegunError
from backendai_ctl.upgrade.pending import pending_upgrades

MANAGER, AGENT = "backendai-manager.service", "backendai-agent.service"
_MINUTE = 60.0


@dataclass
class Host:
    """A systemd of this test's: seconds that each unit has run, commands that it got."""

    ages: dict[str, float] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    breaks: TargetError | None = None  # what a migration ends with

    def age(self, unit: str) -> float | None:
        """For how long it runs."""
        return self.ages.get(unit)

    def run_program(self, command: Sequence[str], *, seconds: float) -> Done:
        """Do what systemctl does to units."""
        assert seconds > 0
        words = [word for word in command[1:] if not word.startswith("-")]
        self.commands.append(" ".join(command[1:]))
        for unit in words[1:]:
            if words[0] == "restart" or unit not in self.ages:
                self.ages[unit] = 0.0
        return Done(status=0, stdout="", stderr="")


class Away:
    """A database that does not answer."""

    def connect(self) -> None:
        raise NotReadyError("does not answer")


class Missing:
    """A server that has no such database."""

    def connect(self) -> None:
        raise NoDatabaseError("does not exist")


class Here:
    """One that does."""

    def connect(self) -> None:
        pass


def filled(service: str, connection: object) -> SeededDatabase:
    """What is known of a service with a database."""
    data = type("Data", (), {"service": service})()
    return cast("SeededDatabase", type("Seeded", (), {"data": data, "connection": connection})())


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """No process of this machine is looked at."""
    host = Host()

    class FakeMigration:
        def __init__(self, **_: object) -> None:
            pass

        def run(self, *, before: Callable[[], None]) -> bool:
            if host.breaks:
                raise host.breaks
            before()
            return True

    def stop(layout: Layout, service: str) -> None:
        if host.ages.pop(f"backendai-{service}.service", None) is not None:
            layout.stopped_note(service).touch()

    monkeypatch.setattr(pending, "process_age", host.age)
    monkeypatch.setattr(pending, "is_active", lambda unit: unit in host.ages)
    monkeypatch.setattr(finish, "has_systemd", lambda _: True)
    monkeypatch.setattr(systemd, "run_program", host.run_program)
    monkeypatch.setattr(batch, "Migration", FakeMigration)
    monkeypatch.setattr(batch, "stop_for_work", stop)
    return host


def noted(layout: Layout, service: str, *units: str, ago: float = 0.0) -> Path:
    """A note as a maintainer script leaves it."""
    folder = layout.upgrades
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{service}.pending"
    path.write_text("".join(f"{unit}\n" for unit in units))
    os.utime(path, (time.time() - ago,) * 2)
    return path


def run(
    layout: Layout, *databases: SeededDatabase, wait: bool = True, unconfigured: str = ""
) -> tuple[batch.Outcome, list[str]]:
    """One run, and the services whose add-ons it looked after."""
    synced: list[str] = []
    problems = {unconfigured: "cannot read its configuration"} if unconfigured else {}
    session = cast("Session", type("Read", (), {"unconfigured": problems})())
    work = Finish(
        layout=layout,
        dumper=Dumper(folder=layout.state, keep=0, seconds=1),
        say=lambda _: None,
        sync=synced.append,
        wait=wait,
    )
    return work.run(session, databases), sorted(synced)


def test_all_are_restarted_once_and_together(layout: Layout, host: Host) -> None:
    host.ages = {MANAGER: _MINUTE, AGENT: _MINUTE}
    for service, unit in (("manager", MANAGER), ("agent", AGENT)):
        noted(layout, service, unit)
    outcome, synced = run(layout, filled("manager", Here()))
    assert outcome.done == {"manager": "migrated"}
    assert synced == ["agent", "manager"]
    assert host.commands == [f"restart {AGENT} {MANAGER}"]
    assert not pending_upgrades(layout)
    assert not layout.stopped_note("manager").exists()
    assert run(layout) == (batch.Outcome(done={}, failed={}, waiting={}), [])
    assert len(host.commands) == 1


def test_what_is_young_or_was_stopped_by_the_admin_is_let_be(layout: Layout, host: Host) -> None:
    host.ages = {AGENT: 1.0}
    noted(layout, "agent", AGENT, ago=_MINUTE)
    noted(layout, "manager")  # nothing of it ran
    run(layout, filled("manager", Here()))
    assert host.commands == []
    assert not pending_upgrades(layout)


def test_a_failed_migration_keeps_its_service_down_and_no_other(layout: Layout, host: Host) -> None:
    host.ages = {MANAGER: _MINUTE, AGENT: _MINUTE}
    host.breaks = NotReadyError("column exists")
    noted(layout, "manager", MANAGER)
    noted(layout, "agent", AGENT)
    outcome, _ = run(layout, filled("manager", Here()))
    assert list(outcome.failed) == ["manager"]
    assert host.commands == [f"restart {AGENT}"]
    assert MANAGER not in host.ages
    assert layout.failure_note("manager").read_text() == "column exists\n"
    assert not pending_upgrades(layout)  # not tried again by itself: it would fail again


@pytest.mark.parametrize("is_away", [True, False], ids=["away", "no dump"])
def test_what_was_not_begun_is_tried_again(layout: Layout, host: Host, *, is_away: bool) -> None:
    host.ages = {MANAGER: _MINUTE}
    host.breaks = NotBegunError("no pg_dump")
    note = noted(layout, "manager", MANAGER)
    outcome, _ = run(layout, filled("manager", Away() if is_away else Here()))
    assert list(outcome.waiting) == ["manager"]
    assert note.exists()
    assert host.commands == []
    assert layout.failure_note("manager").exists()
    host.ages.clear()
    host.breaks = None
    # By the unit that fills the stores, which must not wait for what is ordered after it.
    run(layout, filled("manager", Here()), wait=False)
    assert host.commands == [f"start --no-block {MANAGER}"]
    assert not note.exists()
    assert not layout.failure_note("manager").exists()


def test_filling_stores_amid_a_transaction_restarts_nothing(layout: Layout, host: Host) -> None:
    host.ages = {AGENT: _MINUTE}
    note = noted(layout, "agent", AGENT)
    run(layout, wait=False)
    assert host.commands == []
    assert note.exists()
    run(layout)
    assert host.commands == [f"restart {AGENT}"]
    assert not note.exists()


def test_a_database_that_nobody_made_yet_needs_no_upgrade(layout: Layout, host: Host) -> None:
    note = noted(layout, "manager")
    outcome, _ = run(layout, filled("manager", Missing()))
    assert list(outcome.done) == ["manager"]
    assert not note.exists()
    assert host.commands == []


def test_a_service_whose_configuration_is_lost_goes_on_as_it_is(
    layout: Layout, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "seeded_services", lambda _: ["manager"])
    host.ages = {MANAGER: _MINUTE, AGENT: _MINUTE}
    note = noted(layout, "manager", MANAGER)
    noted(layout, "agent", AGENT)
    outcome, _ = run(layout, unconfigured="manager")
    assert outcome.waiting["manager"].message == "cannot read its configuration"
    assert host.commands == [f"restart {AGENT}"]
    assert note.exists()
