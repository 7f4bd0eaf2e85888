"""Where a migration begins anew, because what came before has ended its transaction."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.stores.revisions import Revisions
from backendai_ctl.stores.schema_state import Schema
from backendai_ctl.upgrade import migrate
from backendai_ctl.upgrade.data import load_upgrade_data
from backendai_ctl.upgrade.dump import Dumper
from backendai_ctl.upgrade.migrate import Migration

from builder.base.paths import PROJECT

STOP = "e3111d960208"
RELEASE = Revisions(
    known=frozenset({"old", STOP, "new"}),
    heads=frozenset({"new"}),
    parents={STOP: frozenset({"old"}), "new": frozenset({STOP})},
)


@pytest.fixture
def migration(layout: Layout) -> Migration:
    """Of the manager, with the stops that its package ships."""
    folder = layout.shipped / "upgrade"
    folder.mkdir(parents=True)
    (folder / "manager.toml").write_text(
        (PROJECT / "postinst/services/manager/upgrade.toml").read_text()
    )
    assert STOP in load_upgrade_data(layout, "manager").stops
    database = SimpleNamespace(
        layout=layout,
        data=SimpleNamespace(service="manager", alembic="alembic.ini"),
        target=SimpleNamespace(password="none of this"),
        answers=SimpleNamespace(hidden=list),
        schema=lambda: Schema(found=["old"], release=RELEASE),
    )
    dumper = Dumper(folder=Path("/nowhere"), keep=0, seconds=1)
    return Migration(database=cast("SeededDatabase", database), dumper=dumper, say=lambda _: None)


def run_to(targets: list[str], status: int = 0) -> Any:
    """In the place of running a program: notes where Alembic is to go."""

    def run(command: Sequence[str], *, log: Path, **_: object) -> SimpleNamespace:
        targets.append(command[-1])
        with log.open("a") as stream:
            stream.write(f"to {command[-1]}\n")
        return SimpleNamespace(status=status)

    return run


@pytest.mark.parametrize(("found", "wanted"), [("old", [STOP, "head"]), (STOP, ["head"])])
def test_a_migration_stops_where_it_has_not_been(
    migration: Migration, monkeypatch: pytest.MonkeyPatch, found: str, wanted: list[str]
) -> None:
    targets: list[str] = []
    monkeypatch.setattr(migrate, "run_program", run_to(targets))
    migration._alembic([found])
    assert targets == wanted
    log = migration.database.layout.upgrade_log("manager").read_text()
    assert log == "".join(f"to {target}\n" for target in wanted)


def test_what_comes_after_a_failing_one_is_not_tried(
    migration: Migration, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets: list[str] = []
    monkeypatch.setattr(migrate, "run_program", run_to(targets, status=1))
    with pytest.raises(NotReadyError, match=f"`alembic upgrade {STOP}` failed with status 1"):
        migration._alembic(["old"])
    assert targets == [STOP]
