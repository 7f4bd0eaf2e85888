"""The plan and its execution, over steps that only remember what was asked of them."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from backendai_ctl.base.errors import NotReadyError, RecipeError
from backendai_ctl.seed.apply import Run
from backendai_ctl.seed.groups import CLUSTER, Group
from backendai_ctl.seed.model import Finding, State
from backendai_ctl.seed.plan import plan, render
from backendai_ctl.seed.state import failed


@dataclass
class Fake:
    """A step whose state is what the test says; acting makes it exist."""

    name: str
    state: State = State.CREATE
    blocks: bool = False
    error: Exception | None = None
    heals: bool = True
    log: list[str] = field(default_factory=list)

    def inspect(self) -> Finding:
        if isinstance(self.error, NotReadyError) and "look" in str(self.error):
            raise self.error
        return Finding(state=self.state, detail=f"about {self.name}", blocks=self.blocks)

    def apply(self) -> None:
        self.log.append(self.name)
        if self.error:
            raise self.error
        if self.heals:
            self.state = State.EXISTS


def apply(*groups: Group) -> tuple[dict[str, State], list[str]]:
    """What became of each step, and what was said."""
    said: list[str] = []
    lines = Run(say=said.append).apply(groups)
    return {f"{line.group}/{line.step}": line.state for line in lines}, said


def test_what_is_missing_is_made_in_order() -> None:
    log: list[str] = []
    steps = [Fake("a", log=log), Fake("b", State.EXISTS, log=log), Fake("c", log=log)]
    states, said = apply(Group(name="g", steps=steps))
    assert log == ["a", "c"]
    assert set(states.values()) == {State.EXISTS}
    assert said == ["g: a: about a", "g: c: about c"]


def test_nothing_is_locked_where_nothing_is_to_be_done() -> None:
    locked: list[str] = []

    @contextlib.contextmanager
    def lock() -> Iterator[None]:
        locked.append("on")
        yield
        locked.append("off")

    apply(Group(name="g", steps=[Fake("a", State.EXISTS), Fake("b", State.DIFFERS)], lock=lock))
    assert locked == []
    apply(Group(name="g", steps=[Fake("a", State.EXISTS), Fake("b")], lock=lock))
    assert locked == ["on", "off"]


def test_a_failure_stops_its_group_and_not_the_others() -> None:
    log: list[str] = []
    broken = Fake("b", error=NotReadyError("no space"), log=log)
    first = Group(name="one", steps=[Fake("a", log=log), broken, Fake("c", log=log)])
    two = Group(name="two", steps=[Fake("d", log=log)])
    again = Group(name="one", steps=[Fake("e", log=log)])
    states, said = apply(first, two, again)
    assert log == ["a", "b", "d"]
    assert states["one/b"] is states["one/c"] is states["one/e"] is State.WAITING
    assert states["two/d"] is State.EXISTS
    assert any("no space" in line for line in said)


def test_a_cluster_that_does_not_fit_stops_all() -> None:
    log: list[str] = []
    secrets = Fake("secrets", State.DIFFERS, blocks=True, log=log)
    states, _ = apply(
        Group(name=CLUSTER, steps=[secrets, Fake("etcd", log=log)]),
        Group(name="manager", steps=[Fake("schema", log=log)]),
    )
    assert log == []
    assert states["cluster/secrets"] is State.DIFFERS
    assert states["cluster/etcd"] is states["manager/schema"] is State.WAITING


def test_somebody_faster_is_no_failure() -> None:
    class Raced(Fake):
        def apply(self) -> None:
            self.state = State.EXISTS
            raise NotReadyError("exists already")

    states, _ = apply(Group(name="g", steps=[Raced("a")]))
    assert states == {"g/a": State.EXISTS}


def test_what_was_done_and_is_still_missing_is_reported() -> None:
    states, said = apply(Group(name="g", steps=[Fake("a", heals=False), Fake("b")]))
    assert states == {"g/a": State.WAITING, "g/b": State.WAITING}
    assert any("was done, and is missing" in line for line in said)


def test_a_lock_that_another_holds_leaves_all_waiting() -> None:
    def lock() -> contextlib.AbstractContextManager[None]:
        raise NotReadyError("node two works on it")

    states, said = apply(Group(name="g", steps=[Fake("a"), Fake("b")], lock=lock))
    assert states == {"g/a": State.WAITING, "g/b": State.WAITING}
    assert any("node two" in line for line in said)


def test_a_broken_package_is_not_waited_for() -> None:
    with pytest.raises(RecipeError):
        apply(Group(name="g", steps=[Fake("a", error=RecipeError("no such fixture"))]))


def test_the_plan_changes_nothing_and_says_what_comes_after() -> None:
    log: list[str] = []
    steps = [Fake("database", log=log), Fake("schema", error=NotReadyError("look"), log=log)]
    away = Fake("redis", error=NotReadyError("look: no route"), log=log)
    lines = plan([Group(name="manager", steps=steps), Group(name="redis", steps=[away])])
    assert log == []
    assert [line.state for line in lines] == [State.CREATE, State.CREATE, State.WAITING]
    assert lines[1].detail == "after the database"
    assert "no route" in lines[2].detail
    assert failed(lines)
    text = render(lines)
    assert "would create         manager: schema  after the database\n" in text
    assert all(len(line) < 80 for line in text.splitlines())


def test_the_plan_stops_where_something_blocks() -> None:
    steps = [Fake("schema", State.WAITING, blocks=True), Fake("fixture users")]
    lines = plan([Group(name="manager", steps=steps)])
    assert [line.state for line in lines] == [State.WAITING, State.WAITING]
    assert lines[1].detail == "for schema"
