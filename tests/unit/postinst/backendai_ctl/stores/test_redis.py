"""What the services do with Redis is tried, and an error of the server has its remedy."""

import socket
from collections.abc import Callable

import pytest
from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.stores.redis import Redis

from tests.helpers.ports import free_port
from tests.helpers.redis_server import fine, redis_server


def at(port: int) -> Address:
    """On loopback."""
    return Address(host="127.0.0.1", port=port)


def test_what_is_written_is_taken_back() -> None:
    with redis_server() as (port, got):
        Redis(address=at(port), password="secret").try_work()
    assert [words[0] for words in got] == ["AUTH", "SET", "XADD", "PEXPIRE", "DEL"]
    assert got[1][3] == "PX"  # it ends by itself, should this be killed
    assert got[4][1:] == [got[1][1], got[2][1]]


@pytest.mark.parametrize("command", ["SET", "XADD", "PEXPIRE", "DEL", "AUTH"])
def test_a_refusal_is_seen_at_each_command(command: str) -> None:
    def answer(words: list[str]) -> str:
        return "-READONLY You can't write" if words[0] == command else fine(words)

    with redis_server(answer) as (port, _), pytest.raises(NotReadyError) as caught:
        Redis(address=at(port), password="secret").try_work()
    assert caught.value.message == f"Redis on 127.0.0.1:{port} refuses: READONLY You can't write"
    assert "REPLICAOF NO ONE" in str(caught.value.hint)
    assert "secret" not in caught.value.message


def test_sentinels_name_the_server() -> None:
    with redis_server() as (port, got):

        def sentinel(words: list[str]) -> str:
            if words == ["SENTINEL", "get-master-addr-by-name", "mine"]:
                return f"*2\r\n$9\r\n127.0.0.1\r\n${len(str(port))}\r\n{port}"
            return fine(words)

        with redis_server(sentinel) as (known, asked):
            Redis(
                address=None,
                sentinels=(at(free_port()), at(known)),
                service_name="mine",
                sentinel_password="other",
            ).try_work()
    assert asked[0] == ["AUTH", "other"]
    assert got[0][0] == "SET"


def test_a_name_that_no_sentinel_has() -> None:
    unknown: Callable[[list[str]], str] = lambda _: "*-1"  # noqa: E731
    with redis_server(unknown) as (port, _), pytest.raises(NotReadyError, match="does not know"):
        Redis(address=None, sentinels=(at(port),)).try_work()


@pytest.mark.parametrize("said", ["HTTP/1.1 400 Bad Request", "$999999999", "*99999999", ""])
def test_what_is_not_redis_is_reported(said: str) -> None:
    with redis_server(lambda _: said) as (port, _), pytest.raises(NotReadyError, match="not Redis"):
        Redis(address=at(port)).try_work()


def test_nobody_answers() -> None:
    with pytest.raises(NotReadyError, match="does not answer"):
        Redis(address=at(free_port())).try_work()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.close()
        with pytest.raises(NotReadyError, match="does not answer"):
            Redis(address=at(port)).try_work()
