"""Several servers of PostgreSQL: how the release gets the answer, and how this tool uses it."""

import configparser
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import NotReadyError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.stores import local_server
from backendai_ctl.stores.local_server import LocalServer, find_local_server
from backendai_ctl.stores.postgresql import Database, Target

Configured = Callable[..., list[str]]
SITE = '[database]\nmembers = ["10.0.0.1:5432", "[fd00::2]:5433"]\npassword = "a/b"\n'
FIRST, SECOND = Address(host="10.0.0.1", port=5432), Address(host="fd00::2", port=5433)


class RefusalError(Exception):
    """What asyncpg raises for a server's own error."""

    def __init__(self, sqlstate: str, words: str) -> None:
        super().__init__(words)
        self.sqlstate = sqlstate


class Servers(Database):
    """Servers by their hosts: whether each is a standby, or what it refuses with."""

    def __init__(self, *states: bool | Exception) -> None:
        target = Target(addresses=(FIRST, SECOND), name="backend", user="backend", password="x")
        super().__init__(target)
        self.states = dict(zip(target.addresses, states, strict=True))
        self.asked: list[str] = []

    async def _log_in(self, address: Address) -> Any:
        state = self.states[address]
        self.asked.append(address.host)
        if isinstance(state, Exception):
            raise state
        return Connection(standby=state)


class Connection:
    """One connection, as asyncpg has it."""

    def __init__(self, *, standby: bool) -> None:
        self.standby = standby
        self.ended = False

    def is_closed(self) -> bool:
        """Whether it was ended."""
        return self.ended

    def terminate(self) -> None:
        """End it."""
        self.ended = True

    async def fetchval(self, statement: str) -> bool:
        """The one question."""
        assert statement == "SELECT pg_is_in_recovery()"
        return self.standby


def test_the_release_gets_every_server(layout: Layout, configured: Configured) -> None:
    layout.site.write_text(SITE)
    configured()
    made = tomllib.loads((layout.etc / "manager.toml").read_text())["db"]
    assert made["addrs"] == [
        {"host": "10.0.0.1", "port": 5432},
        {"host": "fd00::2", "port": 5433},
    ]
    assert "addr" not in made
    parser = configparser.ConfigParser()
    parser.read(layout.etc / "alembic.ini")
    assert parser["alembic"]["sqlalchemy.url"] == (
        "postgresql+asyncpg://backend:a%2Fb@/backend"
        "?host=10.0.0.1,fd00::2&port=5432,5433&target_session_attrs=primary"
    )


@pytest.mark.parametrize("version", ["25.19.2", "26.4.0", "26.8.3"])
def test_a_release_that_reads_one_server_refuses_several(
    layout: Layout, configured: Configured, version: str
) -> None:
    folder = f"opt/backendai/manager/lib/python3.13/site-packages/backend_ai_manager-{version}"
    (layout.root / f"{folder}.dist-info").mkdir(parents=True)
    layout.site.write_text(SITE)
    with pytest.raises(SiteError, match="connects to one server") as caught:
        configured()
    assert "database.members" in caught.value.message
    assert not (layout.etc / "manager.toml").exists()


@pytest.mark.parametrize("version", ["26.4.16", "26.9.6"])
def test_a_release_that_knows_several_is_served(
    layout: Layout, configured: Configured, version: str
) -> None:
    folder = f"opt/backendai/manager/lib/python3.13/site-packages/backend_ai_manager-{version}"
    (layout.root / f"{folder}.dist-info").mkdir(parents=True)
    layout.site.write_text(SITE)
    configured()
    assert "addrs" in (layout.etc / "manager.toml").read_text()


@pytest.mark.parametrize(
    ("states", "asked"),
    [
        ((False, True), ["10.0.0.1"]),
        ((True, False), ["10.0.0.1", "fd00::2"]),
        ((OSError("refused"), False), ["10.0.0.1", "fd00::2"]),
    ],
)
def test_the_primary_is_found(states: tuple[bool | Exception, ...], asked: list[str]) -> None:
    database = Servers(*states)
    database.connect()
    assert database.asked == asked
    database.connect()  # a second call uses the connection
    assert database.asked == asked
    database.close()


@pytest.mark.parametrize(
    ("states", "words", "hint"),
    [
        ((True, True), "all 2 servers are standbys", "promote a standby"),
        ((OSError("refused"), True), "refused", ""),
        (
            (RefusalError("28P01", "wrong password"), OSError("no route")),
            "wrong password",
            "password",
        ),
    ],
)
def test_without_a_primary_the_server_that_says_most_is_quoted(
    states: tuple[bool | Exception, ...], words: str, hint: str
) -> None:
    database = Servers(*states)
    with pytest.raises(NotReadyError) as caught:
        database.connect()
    assert "10.0.0.1:5432, [fd00::2]:5433" in caught.value.message
    assert words in caught.value.message
    assert hint in str(caught.value.hint)
    database.close()


def test_of_several_servers_only_a_primary_is_filled_from_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    server = LocalServer(socket_folder=tmp_path, port=5432)
    monkeypatch.setattr(
        local_server, "_server_at", lambda address: server if address == FIRST else None
    )
    for says, found in (("f\n", server), ("t\n", None)):
        monkeypatch.setattr(LocalServer, "run", lambda *_, says=says: says)
        assert find_local_server([SECOND, FIRST]) is found
