"""A store that answers is not a store that works: alarms, read-only states and rights are seen."""

import base64
import http.server
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.stores.etcd import Etcd
from backendai_ctl.stores.postgresql import Database, NoDatabaseError, RefusedError, Target
from backendai_ctl.stores.service_config import ServiceConfig
from backendai_ctl.stores.trials import try_database, try_etcd, try_stores

from tests.helpers.redis_server import fine, redis_server

LOOPBACK = "127.0.0.1"
REFUSAL = "etcdserver: mvcc: database space exceeded"


@contextmanager
def etcd_server(
    alarms: Sequence[str] = (), refuses: str = "", keys: Mapping[str, str] | None = None
) -> Iterator[tuple[Etcd, list[str]]]:
    """An etcd with these alarms and keys, which refuses one method."""
    got: list[str] = []

    class Gateway(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            method = self.path.removeprefix("/v3/")
            got.append(method)
            answers: dict[str, object] = {
                "maintenance/alarm": {
                    "alarms": [{"memberID": "1", "alarm": name} for name in alarms]
                },
                "lease/grant": {"ID": "77"},
                "kv/range": {
                    "kvs": [
                        {
                            "key": base64.b64encode(f"/sorna/local/{key}".encode()).decode(),
                            "value": base64.b64encode(value.encode()).decode(),
                        }
                        for key, value in (keys or {}).items()
                    ]
                },
            }
            is_refused = method == refuses
            self.send_response(400 if is_refused else 200)
            self.end_headers()
            answer = {"error": REFUSAL} if is_refused else answers.get(method, {})
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer((LOOPBACK, 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        try:
            address = Address(host=LOOPBACK, port=server.server_port)
            yield Etcd(address=address, namespace="local"), got
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("alarm", "remedy"), [("NOSPACE", "defrag"), ("CORRUPT", "hashkv")])
@pytest.mark.parametrize("thorough", [True, False])
def test_an_alarm_of_etcd_is_seen(alarm: str, remedy: str, thorough: bool) -> None:
    with etcd_server([alarm]) as (etcd, got), pytest.raises(NotReadyError) as caught:
        try_etcd(etcd, thorough=thorough)
    assert f"takes no writes: {alarm}" in caught.value.message
    assert remedy in str(caught.value.hint)
    assert got == ["maintenance/alarm"]


def test_a_key_of_etcd_ends_with_its_lease() -> None:
    with etcd_server() as (etcd, got):
        try_etcd(etcd, thorough=True)
        assert got == ["maintenance/alarm", "lease/grant", "kv/put", "lease/revoke"]
        got.clear()
        try_etcd(etcd, thorough=False)
        assert got == ["maintenance/alarm"]


@pytest.mark.parametrize("method", ["lease/grant", "kv/put"])
def test_a_write_that_etcd_refuses_is_seen(method: str) -> None:
    with etcd_server(refuses=method) as (etcd, got), pytest.raises(NotReadyError) as caught:
        try_etcd(etcd, thorough=True)
    assert REFUSAL in caught.value.message
    assert "alarm disarm" in str(caught.value.hint)
    assert ("lease/revoke" in got) == (method == "kv/put")


def config_of(etcd: Etcd) -> ServiceConfig:
    """A service that knows etcd alone."""
    table = {"etcd": {"addr": str(etcd.address), "namespace": "local", "user": "", "password": ""}}
    return ServiceConfig(label="x.toml", table=table)


def test_the_redis_that_etcd_has_is_tried() -> None:
    def replica(words: list[str]) -> str:
        return "-READONLY no" if words[0] == "SET" else fine(words)

    with redis_server(replica) as (port, got):
        keys = {"config/redis/addr": f"{LOOPBACK}:{port}", "config/redis/password": "secret"}
        with etcd_server(keys=keys) as (etcd, _), pytest.raises(NotReadyError, match="READONLY"):
            try_stores(config_of(etcd), thorough=False)
    assert got[0] == ["AUTH", "secret"]


def test_an_etcd_without_redis_is_fine() -> None:
    with etcd_server() as (etcd, _):
        try_stores(config_of(etcd), thorough=True)


def test_a_wrong_address_in_etcd_is_reported() -> None:
    wrong = pytest.raises(NotReadyError, match="config/redis: not HOST:PORT")
    with etcd_server(keys={"config/redis/addr": "nowhere"}) as (etcd, _), wrong:
        try_stores(config_of(etcd), thorough=True)


@pytest.mark.parametrize("section", ["redis", "session.redis"])
def test_the_redis_of_a_service_is_tried(section: str) -> None:
    with redis_server() as (port, got):
        table: dict[str, object] = {"addr": {"host": LOOPBACK, "port": port}, "password": "x"}
        for name in reversed(section.split(".")):
            table = {name: table}
        try_stores(ServiceConfig(label="x.toml", table=table), thorough=False)
    assert [words[0] for words in got] == ["AUTH", "SET", "XADD", "PEXPIRE", "DEL"]


@pytest.mark.parametrize(
    ("setting", "sent"),
    [({}, "x"), ({"sentinel_password": "s"}, "s"), ({"sentinel_password": ""}, "")],
)
def test_sentinels_get_the_password_that_the_release_sends(
    setting: dict[str, object], sent: str
) -> None:
    with redis_server() as (port, _):

        def sentinel(words: list[str]) -> str:
            address = f"*2\r\n$9\r\n127.0.0.1\r\n${len(str(port))}\r\n{port}"
            return address if words[0] == "SENTINEL" else fine(words)

        with redis_server(sentinel) as (known, asked):
            redis = {"sentinel": f"{LOOPBACK}:{known}", "password": "x", **setting}
            config = ServiceConfig(label="x.toml", table={"session": {"redis": redis}})
            try_stores(config, thorough=False)
    assert [words[1] for words in asked if words[0] == "AUTH"] == ([sent] if sent else [])


class FakeDatabase(Database):
    """A server that says this of itself."""

    def __init__(self, **state: object) -> None:
        target = Target(
            addresses=(Address(host="db", port=5432),),
            name="backend",
            user="manager",
            password="x",
        )
        super().__init__(target, service="manager")
        self.state = {
            "recovering": False,
            "read_only": False,
            "creates": True,
            "closed": None,
            **state,
        }
        self.tried: list[str] = []

    def rows(self, *_: object) -> Sequence[Any]:
        """The one row of the state."""
        return [self.state]

    def try_statements(self, *statements: str) -> None:
        """Remember them."""
        self.tried += statements


@pytest.mark.parametrize(
    ("state", "words", "remedy"),
    [
        ({"recovering": True, "read_only": True}, "standby", "name the primary"),
        ({"read_only": True}, "default_transaction_read_only", "RESET default_transaction"),
        ({"creates": False}, "denied for schema public", "GRANT ALL ON SCHEMA public TO manager"),
        ({"creates": None}, "no schema public", "CREATE SCHEMA public"),
        ({"closed": "users"}, "denied for table users", "REASSIGN OWNED"),
    ],
)
def test_what_prevents_writes_is_seen(state: dict[str, object], words: str, remedy: str) -> None:
    database = FakeDatabase(**state)
    with pytest.raises(NotReadyError) as caught:
        try_database(database, thorough=True)
    database.close()
    assert words in caught.value.message
    assert remedy in str(caught.value.hint)
    assert database.tried == []


def test_a_table_is_made_only_where_that_is_asked_for() -> None:
    database = FakeDatabase()
    try_database(database, thorough=False)
    assert database.tried == []
    try_database(database, thorough=True)
    database.close()
    assert [statement.split()[0] for statement in database.tried] == ["CREATE", "INSERT"]


def test_refused_logins_keep_their_kinds() -> None:
    database = FakeDatabase()
    database.close()
    assert isinstance(database.fault("3D000", "no such database"), NoDatabaseError)
    for state in ("28P01", "28000"):
        assert isinstance(database.fault(state, "x"), RefusedError)
    fault = database.fault("28P01", "password authentication failed")
    assert "sudo backendai-ctl sql manager" in str(fault.hint)
    assert database.fault("", "connection refused").hint is None
