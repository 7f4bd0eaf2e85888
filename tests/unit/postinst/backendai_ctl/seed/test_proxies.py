"""Resource groups get the app proxy of the node where they name none, once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest
from backendai_ctl.seed.data import Proxied
from backendai_ctl.seed.model import State
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.seed.steps.proxies import ProxyStep

from builder.base.paths import PROJECT

EXAMPLE = "http://127.0.0.1:5050"
OURS, TOKEN = "http://10.0.0.5:10200", "token-of-ours"
PROXIED = Proxied(
    table="scaling_groups",
    address="wsproxy_addr",
    token="wsproxy_api_token",
    examples=(EXAMPLE,),
    where="appproxy-coordinator",
    to=OURS,
    by=TOKEN,
)


@dataclass
class Groups:
    """The table, and the marks beside it."""

    rows_by_name: dict[str, list[str | None]]
    marks: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        """A mark."""
        return self.marks.get(name)

    def prepared(self, name: str, value: str) -> list[tuple[str, Sequence[object]]]:
        """The statement that makes a mark."""
        return [("MARK", (name, value))]

    def value(self, statement: str, *_: object) -> bool:
        """Whether the table is missing."""
        assert "to_regclass" in statement
        return False

    def rows(self, statement: str, *arguments: list[str]) -> list[tuple[str | None]]:
        """The addresses that are named, or the groups that name none."""
        if statement.startswith("SELECT DISTINCT"):
            return [(row[0],) for row in self.rows_by_name.values() if row[0]]
        (examples,) = arguments
        return [
            (name,) for name, row in self.rows_by_name.items() if not row[0] or row[0] in examples
        ]

    def execute(self, *statements: tuple[str, Sequence[object]]) -> None:
        """Make a mark, and change one group."""
        for statement, values in statements:
            if statement == "MARK":
                self.marks[str(values[0])] = str(values[1])
            else:
                assert statement.startswith("UPDATE scaling_groups SET wsproxy_addr = $1")
                self.rows_by_name[str(values[2])] = [str(values[0]), str(values[1])]


def step(groups: Groups) -> ProxyStep:
    answers = SimpleNamespace(resolve=lambda value: value)
    filled = SimpleNamespace(connection=groups, marks=groups, answers=answers, version="26.9.6")
    return ProxyStep(database=cast("SeededDatabase", filled), proxied=PROXIED)


@pytest.mark.parametrize("address", [None, "", EXAMPLE])
def test_a_group_without_an_address_gets_both(address: str | None) -> None:
    groups = Groups({"default": [address, "theirs"]})
    found = step(groups).inspect()
    assert (found.state, found.detail) == (State.CREATE, "default")
    step(groups).apply()
    assert groups.rows_by_name == {"default": [OURS, TOKEN]}
    assert step(groups).inspect().state is State.EXISTS


def test_what_an_administrator_named_or_removed_stays() -> None:
    groups = Groups({"default": [None, None], "gpu": ["http://proxy.example.com", "theirs"]})
    step(groups).apply()
    assert groups.rows_by_name["gpu"] == ["http://proxy.example.com", "theirs"]
    groups.rows_by_name["default"] = [None, None]
    assert step(groups).inspect().state is State.EXISTS
    step(groups).apply()
    assert groups.rows_by_name["default"] == [None, None]


def test_a_group_that_is_added_later_gets_both() -> None:
    groups = Groups({"default": [OURS, TOKEN]})
    assert step(groups).inspect().state is State.EXISTS
    groups.rows_by_name["new"] = [None, None]
    assert step(groups).inspect().detail == "new"
    step(groups).apply()
    assert groups.rows_by_name["new"] == [OURS, TOKEN]


def test_the_shipped_data_names_the_releases_example() -> None:
    assert f'"{EXAMPLE}"' in (PROJECT / "postinst/services/manager/seed.toml").read_text()
