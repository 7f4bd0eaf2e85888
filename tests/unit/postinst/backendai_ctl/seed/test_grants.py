"""Rights on volumes, and commands of the release: decided once for each row, then the admin's."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.data import Command, Grant, load_seed_data
from backendai_ctl.seed.model import State
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.seed.steps.commands import CommandStep
from backendai_ctl.seed.steps.grants import GrantStep

from builder.base.paths import PROJECT

RIGHTS = ["create-vfolder", "upload-file"]
VOLUME = "local:volume1"
GRANT = Grant(
    table="groups",
    key="id",
    column="allowed_vfolder_hosts",
    volumes=("{storage-proxy.name}:{storage.label}",),
    permissions=tuple(RIGHTS),
)
COMMAND = Command(
    name="roles",
    words=("permissions", "provision"),
    wanted="lacks?",
    since=(26, 9),
    restore="restore since $1",
)
Statement = tuple[str, Sequence[object]]
Rows = dict[str, dict[str, Any]]


@dataclass
class Answers:
    """The answers of one volume."""

    volume: str

    def fill(self, text: str) -> str:
        assert text == GRANT.volumes[0]
        return self.volume


class World:
    """A database with one table and the marks, and the release's commands."""

    def __init__(self, rows: Rows, fixture: Rows | None = None, name: str = "local") -> None:
        self.rows_of_table, self.marked = rows, dict[str, str]()
        self.lacks, self.works, self.ran = False, True, list[tuple[str, ...]]()
        self.restored = list[str]()
        self.volumes = [f"{name}:volume1"]
        made = rows if fixture is None else fixture
        listed = [{"id": key, GRANT.column: dict(value)} for key, value in made.items()]
        self.filled = cast(
            "SeededDatabase",
            SimpleNamespace(
                version="26.9.6",
                target="the database",
                connection=self,
                marks=self,
                cli=SimpleNamespace(run=self.run, log="the log"),
                data=SimpleNamespace(command=["mgr"]),
                profile=SimpleNamespace(accounts=None),
                deriver=SimpleNamespace(secret="secret"),
                fixtures=SimpleNamespace(files={"users": {"groups": listed}}),
                answers=SimpleNamespace(each=lambda _text: map(Answers, self.volumes)),
            ),
        )

    # What the steps ask of the database and of the marks.

    def rows(self, statement: str, keys: list[str]) -> list[tuple[str, str]]:
        assert "FROM groups" in statement
        return [
            (key, json.dumps(self.rows_of_table[key])) for key in keys if key in self.rows_of_table
        ]

    def value(self, statement: str) -> object:
        if statement == COMMAND.wanted:
            return self.lacks
        assert "now()" in statement
        return f"time {len(self.ran)}"

    def execute(self, *statements: Statement) -> None:
        for text, arguments in statements:
            if text == "mark":
                name, value = map(str, arguments)
                self.marked[name] = value
            elif text == COMMAND.restore:
                self.restored += map(str, arguments)
            else:
                rights, row, volume = map(str, arguments)
                self.rows_of_table[row] = {**json.loads(rights), **self.rows_of_table[row]}
                assert volume in self.rows_of_table[row]

    def values(self, prefix: str) -> dict[str, str]:
        return {name: at for name, at in self.marked.items() if name.startswith(prefix)}

    def get(self, name: str) -> str | None:
        return self.marked.get(name)

    def set(self, name: str, value: str) -> None:
        self.marked[name] = value

    def prepared(self, name: str, value: str) -> list[Statement]:
        return [("mark", (name, value))]

    def run(self, *words: str) -> None:
        self.ran.append(words)
        self.lacks = self.lacks and not self.works

    def give(self) -> State:
        """One run of the step, where its finding asks for one; what it finds afterwards."""
        step = GrantStep(database=self.filled, grant=GRANT)
        if step.inspect().state is State.CREATE:
            step.apply()
        return step.inspect().state


def test_rows_as_the_fixture_made_them_get_the_rights() -> None:
    world = World({"a": {}, "b": {}})
    step = GrantStep(database=world.filled, grant=GRANT)
    assert step.inspect().detail == f"a: {VOLUME}, b: {VOLUME}"
    assert world.give() is State.EXISTS
    assert world.rows_of_table == {"a": {VOLUME: RIGHTS}, "b": {VOLUME: RIGHTS}}


def test_what_an_admin_removes_is_not_given_again() -> None:
    world = World({"a": {}, "b": {}})
    world.give()
    world.rows_of_table["a"] = {}
    del world.rows_of_table["b"]
    assert world.give() is State.EXISTS
    assert world.rows_of_table == {"a": {}}


@pytest.mark.parametrize("edited", [{}, {"nas:other": RIGHTS}, {VOLUME: RIGHTS[:1]}])
def test_a_row_that_an_admin_has_changed_stays(edited: dict[str, Any]) -> None:
    """Also one that was emptied, where the fixture has rights."""
    world = World({"a": dict(edited)}, fixture={"a": {VOLUME: RIGHTS}})
    assert world.give() is State.EXISTS
    assert world.rows_of_table == {"a": edited}
    world.rows_of_table["a"] = {}
    assert world.give() is State.EXISTS
    assert world.rows_of_table == {"a": {}}


def test_the_fixtures_own_rights_are_removed_for_good_too() -> None:
    """The order of permissions is no difference: the release keeps them as a set."""
    world = World({"a": {VOLUME: RIGHTS[::-1]}}, fixture={"a": {VOLUME: RIGHTS}})
    world.give()
    assert world.rows_of_table == {"a": {VOLUME: RIGHTS[::-1]}}
    world.rows_of_table["a"] = {}
    world.give()
    assert world.rows_of_table == {"a": {}}


def test_a_volume_that_an_admin_names_is_given_to_each_row_again_too() -> None:
    world = World({"a": {}, "b": {"x:y": RIGHTS}, "own": {}}, fixture={"a": {}, "b": {}})
    step = GrantStep(database=world.filled, grant=GRANT, named=("second:fast",))
    for _ in range(2):
        step.apply()
        assert world.rows_of_table["a"] == {"second:fast": RIGHTS}
        assert world.rows_of_table["b"] == {"x:y": RIGHTS, "second:fast": RIGHTS}
        assert world.rows_of_table["own"] == {}
        assert step.inspect().state is State.EXISTS
        world.rows_of_table["a"] = {}


def test_rows_that_the_fixtures_have_yet_to_make_are_waited_for() -> None:
    world = World({}, fixture={"a": {}})
    step = GrantStep(database=world.filled, grant=GRANT)
    assert step.inspect().state is State.CREATE
    world.set("seeded", "26.9.6")  # they were made, and removed since
    assert step.inspect().state is State.EXISTS


def test_a_volume_of_another_name_is_added_to_what_is_ours() -> None:
    world = World({"a": {}, "b": {"x:y": RIGHTS}}, fixture={"a": {}, "b": {}})
    world.give()
    later = World(world.rows_of_table, fixture={"a": {}, "b": {}}, name="nas")
    later.marked = world.marked
    later.give()
    assert later.rows_of_table == {
        "a": {VOLUME: RIGHTS, "nas:volume1": RIGHTS},
        "b": {"x:y": RIGHTS},
    }


def test_rows_of_an_admin_are_not_of_the_fixture() -> None:
    world = World({"a": {}, "theirs": {}}, fixture={"a": {}})
    world.give()
    assert world.rows_of_table == {"a": {VOLUME: RIGHTS}, "theirs": {}}


def test_a_command_is_run_where_it_is_wanted_and_once() -> None:
    world = World({})
    world.lacks = True
    step = CommandStep(database=world.filled, command=COMMAND)
    assert step.inspect().detail == "backend.ai mgr permissions provision"
    step.apply()
    assert world.ran == [COMMAND.words]
    assert step.inspect().state is State.EXISTS
    world.lacks = True  # an admin has taken the roles away
    assert step.inspect().state is State.EXISTS
    assert world.restored == ["time 0"]


def test_a_command_is_never_run_where_others_did_its_work() -> None:
    world = World({})
    step = CommandStep(database=world.filled, command=COMMAND)
    assert "there already" in step.inspect().detail
    step.apply()
    world.lacks = True
    assert step.inspect().state is State.EXISTS
    assert not world.ran
    assert not world.restored


def test_a_command_that_did_nothing_is_no_success() -> None:
    world = World({})
    world.lacks, world.works = True, False
    step = CommandStep(database=world.filled, command=COMMAND)
    with pytest.raises(NotReadyError, match="roles are still missing"):
        step.apply()
    assert step.inspect().state is State.CREATE


def test_a_command_that_was_killed_is_followed_by_what_restores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed at either side of the command; the time is that before the first run."""
    world = World({})
    world.lacks = True
    step = CommandStep(database=world.filled, command=COMMAND)
    for target, name in ((world.filled.cli, "run"), (world, "execute")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, _killed)
            with pytest.raises(KeyboardInterrupt):
                step.apply()
    assert step.inspect().state is State.CREATE
    step.apply()
    assert world.restored == ["time 0"]
    assert world.ran == [COMMAND.words]
    assert step.inspect().state is State.EXISTS


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_data_of_each_line(layout: Layout) -> None:
    """Only releases from 26.9 on have the command that gives roles."""
    folder = layout.root / "usr/lib/backendai/seed"
    folder.mkdir(parents=True)
    (folder / "manager.toml").write_text(
        (PROJECT / "postinst/services/manager/seed.toml").read_text()
    )
    line = load_seed_data(layout, "manager").profile("26.9.6")
    assert [command.name for command in line.commands_of("26.9.0rc1")] == ["roles"]
    assert line.commands_of("26.8.3") == []
    assert {grant.table: grant.key for grant in line.grants} == {
        "domains": "name",
        "groups": "id",
        "keypair_resource_policies": "name",
    }
    assert all("mount-in-session" in grant.permissions for grant in line.grants)
