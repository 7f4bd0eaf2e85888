"""A member of a replicated store that is lost is reported while the others still serve."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.doctor.checks import members
from backendai_ctl.doctor.model import Finding, Severity
from backendai_ctl.stores.etcd import Etcd
from backendai_ctl.stores.postgresql import Database

from tests.helpers.ports import free_port
from tests.helpers.redis_server import fine, redis_server
from tests.unit.postinst.conftest import install_recipe
from tests.unit.postinst.host_views import host_view


def bulk(*words: str) -> str:
    """An array of Redis's protocol, without its last line end."""
    return f"*{len(words)}\r\n" + "\r\n".join(f"${len(word)}\r\n{word}" for word in words)


@contextmanager
def sentinels(*servers: tuple[str, int]) -> Iterator[list[int]]:
    """Sentinels, each with the port of the server that it knows, and its number of replicas."""
    with ExitStack() as stack:
        ports = []
        for port, replicas in servers:

            def answer(words: list[str], port: str = port, replicas: int = replicas) -> str:
                if words == ["SENTINEL", "MASTER", "mymaster"]:
                    state = {"ip": "10.0.0.1", "port": port, "num-slaves": str(replicas)}
                    return bulk(*(word for pair in state.items() for word in pair))
                return fine(words)

            ports.append(stack.enter_context(redis_server(answer))[0])
        yield ports


def examine(layout: Layout, ports: Sequence[int]) -> list[Finding]:
    """The findings of a node whose site.toml names these Sentinels."""
    listed = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    layout.site.write_text(f'[redis]\nsentinels = [{listed}]\nsentinel-password = "s"\n')
    return list(members.check_members(host_view(layout)))


def test_sentinels_that_agree_are_fine(layout: Layout) -> None:
    with sentinels(("6379", 2), ("6379", 2)) as ports:
        assert examine(layout, ports) == []


def test_a_lost_sentinel_a_lost_replica_and_a_dispute(layout: Layout) -> None:
    with sentinels(("6379", 0), ("6380", 2)) as ports:
        found = examine(layout, [*ports, free_port()])
    assert [finding.severity for finding in found] == [
        Severity.WARNING,
        Severity.WARNING,
        Severity.ERROR,
    ]
    assert "has no replica" in found[0].what
    assert "cannot vote" in found[1].what
    assert "do not agree" in found[2].what
    assert "10.0.0.1:6380" in found[2].where


def test_a_lost_member_of_etcd(layout: Layout) -> None:
    install_recipe(layout, "manager")
    with socket.create_server(("127.0.0.1", 0)) as server:
        up, lost = server.getsockname()[1], free_port()
        tables = ", ".join(f'{{ host = "127.0.0.1", port = {port} }}' for port in (up, lost))
        (layout.etc / "manager.toml").write_text(f"[etcd]\naddr = [{tables}]\n")
        (finding,) = members.check_members(host_view(layout))
    assert finding.what == "1 of 2 members of etcd answer: 2 have to"
    assert finding.where == f"etcd on 127.0.0.1:{lost}"
    assert f"127.0.0.1:{up} member remove" in finding.remedy


def test_a_lost_member_behind_a_proxy(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file names the proxy alone; etcd knows its members."""
    install_recipe(layout, "manager")
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        up, lost = server.getsockname()[1], free_port()
        urls = [[f"http://127.0.0.1:{up}"], [f"http://127.0.0.1:{lost}", "http://10.0.0.1:1"], []]

        def answer(_: Etcd, method: str, *__: object) -> object:
            asked.append(method)
            return {"members": [{"name": "n", "clientURLs": listed} for listed in urls]}

        monkeypatch.setattr(Etcd, "_ask", answer)
        address = f'{{ host = "127.0.0.1", port = {up} }}'
        (layout.etc / "manager.toml").write_text(
            f'[etcd]\naddr = {address}\nnamespace = "local"\nuser = ""\npassword = ""\n'
        )
        (finding,) = members.check_members(host_view(layout))
    assert asked == ["cluster/member/list"]
    assert finding.what == "1 of 2 members of etcd answer: 2 have to"
    assert finding.where == f"etcd on 127.0.0.1:{lost}"


@pytest.mark.parametrize(
    ("servers", "words"),
    [
        ({"a": 1, "b": None}, []),
        ({"a": 0, "b": None}, ["no standby follows"]),
        ({"a": 1, "b": "refused"}, ["does not answer"]),
        ({"a": 0, "b": 0}, ["2 servers of PostgreSQL take writes: a:5432, b:5432"]),
    ],
)
def test_servers_of_postgresql(
    layout: Layout,
    monkeypatch: pytest.MonkeyPatch,
    servers: dict[str, int | str | None],
    words: list[str],
) -> None:
    """A number is that of a primary's standbys, None a standby."""

    def value(self: Database, statement: str, *_: object) -> Any:
        state = servers[self.target.addresses[0].host]
        if isinstance(state, str):
            raise NotReadyError(state)
        return state is None if "recovery" in statement else state

    monkeypatch.setattr(Database, "value", value)
    tables = ", ".join(f'{{ host = "{host}", port = 5432 }}' for host in servers)
    (layout.etc / "manager.toml").write_text(
        f'[db]\naddrs = [{tables}]\nname = "x"\nuser = "x"\npassword = "x"\n'
    )
    found = list(members.check_members(host_view(layout)))
    assert len(found) == len(words)
    for finding, word in zip(found, words, strict=True):
        assert word in finding.what


def test_one_server_of_each_is_no_matter_of_this_check(layout: Layout) -> None:
    (layout.etc / "manager.toml").write_text(
        f'[etcd]\naddr = {{ host = "127.0.0.1", port = {free_port()} }}\n'
        '[db]\naddr = { host = "127.0.0.1", port = 5432 }\n'
    )
    layout.site.write_text("")
    assert list(members.check_members(host_view(layout))) == []
