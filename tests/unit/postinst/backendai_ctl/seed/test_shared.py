"""Rows of fixtures become members of the scope that every user may read, once a table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.data import Listed, Shared, load_seed_data
from backendai_ctl.seed.model import State
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.seed.steps.shared import SharedStep, shared_mark

from builder.base.paths import PROJECT

SHARED = Shared(
    scope="public",
    tables={
        "variants": Listed(type="variant"),
        "presets": Listed(type="preset", key="uuid", condition="listed.open"),
    },
)
GRAPH = {"global_entities", "virtual_entities", "entity_memberships", "scope_bindings"}


@dataclass
class World:
    """A database: of each type the members of both kinds, and the rows that there are."""

    tables: set[str] = field(default_factory=lambda: GRAPH | set(SHARED.tables))
    scopes: set[str] = field(default_factory=lambda: {"public"})
    rows: dict[str, set[str]] = field(default_factory=lambda: {"variant": {"a"}, "preset": {"b"}})
    members: dict[str, set[str]] = field(default_factory=dict)
    bound: dict[str, set[str]] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def step(self) -> SharedStep:
        """The step on this database."""
        marks = SimpleNamespace(
            get=self.marks.get, prepared=lambda name, value: [("mark", (name, value))]
        )
        filled = SimpleNamespace(connection=self, marks=marks, version="26.9.6")
        return SharedStep(database=cast("SeededDatabase", filled), shared=SHARED)

    def has_table(self, name: str) -> bool:
        """Whether the schema has it."""
        return name in self.tables

    def value(self, statement: str, *arguments: str) -> bool:
        """Whether the scope is there, or whether something of a type lacks it."""
        if len(arguments) == 1:
            return arguments[0] in self.scopes
        self._check_listed(statement, arguments[1])
        rows = self.rows[arguments[1]]
        return not all(rows <= side.get(arguments[1], set()) for side in (self.members, self.bound))

    def execute(self, *statements: tuple[str, Sequence[str]]) -> None:
        """Make marks and edges; a table's are one transaction."""
        assert [text == "mark" for text, _ in statements] == [True, False, False]
        for text, arguments in statements:
            if text == "mark":
                self.marks[arguments[0]] = arguments[1]
                continue
            self._check_listed(text, arguments[1])
            side = self.members if "INSERT INTO entity_memberships" in text else self.bound
            side.setdefault(arguments[1], set()).update(self.rows[arguments[1]])

    def apply(self) -> State:
        """Do what the step asks for; what it finds afterwards."""
        if self.step.inspect().state is State.CREATE:
            self.step.apply()
        return self.step.inspect().state

    @staticmethod
    def _check_listed(statement: str, entity_type: str) -> None:
        (name,) = [name for name, listed in SHARED.tables.items() if listed.type == entity_type]
        listed = SHARED.tables[name]
        assert f"JOIN {name} listed ON listed.{listed.key} = node.entity_id" in statement
        assert f"AND {listed.condition}\n" in statement


def test_rows_become_members_and_are_bound() -> None:
    world = World()
    assert world.step.inspect().detail == "variants, presets"
    assert world.apply() is State.EXISTS
    assert world.members == world.bound == world.rows


def test_an_edge_that_is_half_there_is_completed() -> None:
    world = World(members={"variant": {"a"}, "preset": {"b"}}, bound={"preset": {"b"}})
    assert world.step.inspect().detail == "variants"
    assert world.apply() is State.EXISTS
    assert world.bound == world.rows


def test_what_an_admin_removes_is_not_registered_again() -> None:
    world = World()
    world.apply()
    world.members["variant"].clear()
    world.bound["variant"].clear()
    assert world.apply() is State.EXISTS
    assert world.members["variant"] == world.bound["variant"] == set()


def test_what_others_did_gets_a_mark_alone() -> None:
    """A migration registers the rows of an older database."""
    done = {"variant": {"a"}, "preset": {"b"}}
    world = World(members=dict(done), bound=dict(done))
    assert "only a mark" in world.step.inspect().detail
    assert world.apply() is State.EXISTS
    assert set(world.marks) == {shared_mark(name) for name in SHARED.tables}


def test_a_release_without_such_scopes_is_left_alone_until_it_has_them() -> None:
    for world in (World(tables=set(SHARED.tables)), World(scopes=set())):
        assert world.apply() is State.EXISTS
        assert not world.marks
        world.tables |= GRAPH
        world.scopes.add("public")
        assert world.step.inspect().state is State.CREATE


def test_a_table_that_comes_with_a_later_release_is_done_then() -> None:
    world = World(tables=GRAPH | {"variants"})
    assert world.apply() is State.EXISTS
    assert set(world.marks) == {shared_mark("variants")}
    world.tables.add("presets")
    assert world.apply() is State.EXISTS
    assert world.bound["preset"] == {"b"}


def test_the_shipped_data(layout: Layout) -> None:
    folder = layout.root / "usr/lib/backendai/seed"
    folder.mkdir(parents=True)
    shipped = (PROJECT / "postinst/services/manager/seed.toml").read_text()
    (folder / "manager.toml").write_text(shipped)
    shared = load_seed_data(layout, "manager").profile("26.9.6").shared
    assert shared is not None
    assert shared.scope == "public"
    assert shared.tables["runtime_variants"] == Listed(type="runtime_variant")
    assert shared.tables["resource_slot_types"].key == "uuid"
    assert shared.tables["container_registries"].condition == "listed.is_global"
