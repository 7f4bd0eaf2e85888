"""`stores secure` against stores made up: etcd's users, Redis's password, and who gets them."""

import base64
import json
import re
import shutil
import socketserver
import threading
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.cli import main
from backendai_ctl.commands import stores
from backendai_ctl.doctor.checks.open_stores import check_open_stores
from backendai_ctl.services.record import Record
from backendai_ctl.stores.etcd_users import EtcdUsers
from backendai_ctl.stores.redis_admin import RedisAdmin

from builder.base.paths import PROJECT
from tests.unit.postinst.conftest import install_recipe
from tests.unit.postinst.host_views import host_view

Configured = Callable[..., list[str]]
_SECURE = ("--as-caller", "stores", "secure")


def text_of(word: str) -> str:
    """What etcd's gateway has in base64."""
    return base64.b64decode(word).decode()


@dataclass
class FakeEtcd:
    """As much of etcd as is called."""

    kept: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    roles: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    granted: set[tuple[str, str]] = field(default_factory=set)
    is_closed: bool = False
    port: int = 0

    def answer(self, method: str, asked: dict[str, Any], token: str | None) -> dict[str, Any]:
        """The reply; KeyError with etcd's own words where it refuses."""
        if method == "auth/authenticate":
            if not self.is_closed:
                raise KeyError("etcdserver: authentication is not enabled")
            if self.users.get(asked["name"]) != asked["password"]:
                raise KeyError("etcdserver: authentication failed, invalid user ID or password")
            return {"token": asked["name"]}
        if self.is_closed and token is None:
            raise KeyError("etcdserver: user name is empty")
        if method.startswith("auth/"):
            return self._administer(method.removeprefix("auth/"), asked)
        key = text_of(asked["key"])
        if method == "kv/put":
            self.kept[key] = text_of(asked["value"])
            return {}
        found = {
            "key": asked["key"],
            "value": base64.b64encode(self.kept.get(key, "").encode()).decode(),
        }
        return {"count": "1", "kvs": [found]} if key in self.kept else {}

    def _administer(self, method: str, asked: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "role/add":
                if asked["name"] in self.roles:
                    raise KeyError("etcdserver: role name already exists")
                self.roles[asked["name"]] = []
            case "role/grant":
                permission = asked["perm"]
                assert permission["permType"] == "READWRITE"
                rights = (text_of(permission["key"]), text_of(permission["range_end"]))
                self.roles[asked["name"]].append(rights)
            case "user/add":
                if asked["name"] in self.users:
                    raise KeyError("etcdserver: user name already exists")
                self.users[asked["name"]] = asked["password"]
            case "user/changepw":
                self.users[asked["name"]] = asked["password"]
            case "user/grant":
                self.granted.add((asked["user"], asked["role"]))
            case "enable":
                assert ("root", "root") in self.granted, "etcd refuses that"
                self.is_closed = True
        return {}


class Gateway(BaseHTTPRequestHandler):
    """The JSON gateway of a FakeEtcd."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        etcd: FakeEtcd = self.server.etcd  # type: ignore[attr-defined]
        token = self.headers.get("Authorization")
        try:
            status, answer = 200, etcd.answer(self.path.removeprefix("/v3/"), asked, token)
        except KeyError as error:
            status, answer = 400, {"error": error.args[0]}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@dataclass
class FakeRedis:
    """As much of Redis as is called; ``kept`` is what its configuration has."""

    password: str = ""
    kept: str = ""
    can_rewrite: bool = True
    port: int = 0

    def answer(self, words: list[str], known: str) -> str:
        """The reply to a caller who has shown the password ``known``."""
        if words[0] == "AUTH":
            return "+OK" if words[1] == self.password else "-WRONGPASS invalid"
        if self.password and known != self.password:
            return "-NOAUTH Authentication required."
        if words[:2] == ["CONFIG", "SET"]:
            self.password = words[3]
        elif words == ["CONFIG", "REWRITE"]:
            if not self.can_rewrite:
                return "-ERR The server is running without a config file"
            self.kept = self.password
        elif words == ["PING"]:
            return "+PONG"
        return "+OK"


class Connection(socketserver.StreamRequestHandler):
    """A connection of RESP."""

    def handle(self) -> None:
        known = ""
        redis: FakeRedis = self.server.redis  # type: ignore[attr-defined]
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2].decode())
            reply = redis.answer(words, known)
            if words[0] == "AUTH" and reply == "+OK":
                known = words[1]
            self.wfile.write(f"{reply}\r\n".encode())


@pytest.fixture
def etcd() -> Iterator[FakeEtcd]:
    """An open etcd."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    server.etcd = FakeEtcd(port=server.server_port)  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
    yield server.etcd  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


@pytest.fixture
def redis() -> Iterator[FakeRedis]:
    """An open Redis."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
    server.daemon_threads = True
    server.redis = FakeRedis(port=server.server_address[1])  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
    yield server.redis  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


@pytest.fixture
def node(services: Layout, etcd: FakeEtcd, redis: FakeRedis, configured: Configured) -> Layout:
    """A node whose manager and webserver are configured for these stores."""
    services.site.write_text(
        f'# ours\n[etcd]\naddresses = ["127.0.0.1:{etcd.port}"]\n'
        f'[redis]\naddress = "127.0.0.1:{redis.port}"\n'
    )
    configured("manager")
    configured("webserver")
    return services


def secure(node: Layout) -> int:
    """What the admin runs."""
    return main(["--root", str(node.root), *_SECURE])


def check(node: Layout, etcd: FakeEtcd, redis: FakeRedis) -> None:
    """Both stores ask, and everybody who is to know the passwords does."""
    site = tomllib.loads(node.site.read_text())
    manager = tomllib.loads((node.etc / "manager.toml").read_text())
    web = tomllib.loads((node.etc / "webserver.conf").read_text())
    assert etcd.is_closed
    user, password = site["etcd"]["user"], site["etcd"]["password"]
    assert (manager["etcd"]["user"], manager["etcd"]["password"]) == (user, password)
    assert etcd.users[user] == password
    assert ("/sorna/local/", "/sorna/local0") in etcd.roles[user]
    assert ("/backendai-packages/local/", "/backendai-packages/local0") in etcd.roles[user]
    assert etcd.granted == {(user, user), ("root", "root")}
    assert etcd.users["root"] == (node.secrets / "stores-etcd-root").read_text().strip()
    assert redis.password == redis.kept == site["redis"]["password"]
    assert etcd.kept["/sorna/local/config/redis/password"] == redis.password
    assert web["session"]["redis"]["password"] == redis.password
    assert len({password, redis.password, etcd.users["root"]}) == 3
    assert node.site.read_text().startswith("# ours\n")
    assert not (node.state / "stores-secure.pending").exists()


def test_both_ask_and_the_services_know(
    node: Layout, etcd: FakeEtcd, redis: FakeRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    assert secure(node) == 0
    check(node, etcd, redis)
    said = capsys.readouterr()
    for secret in (redis.password, *etcd.users.values()):
        assert secret not in said.out + said.err
    before = (redis.password, dict(etcd.users))
    assert secure(node) == 0
    assert (redis.password, etcd.users) == before
    check(node, etcd, redis)


def test_what_nobody_edited_counts_as_unedited(node: Layout, configured: Configured) -> None:
    assert secure(node) == 0
    for name in ("manager.toml", "webserver.conf"):
        record = Record.load(node.generated / name)
        assert record is not None
        assert record.is_unedited(node.etc / name)
    assert configured("manager") == []  # nothing else is offered


def test_an_edited_file_gets_the_passwords_alone(
    node: Layout, etcd: FakeEtcd, redis: FakeRedis
) -> None:
    path = node.etc / "manager.toml"
    path.write_text(path.read_text().replace("pool-recycle = 50", "pool-recycle = 7  # ours"))
    assert secure(node) == 0
    check(node, etcd, redis)
    assert "pool-recycle = 7  # ours" in path.read_text()
    record = Record.load(node.generated / "manager.toml")
    assert record is not None
    assert not record.is_unedited(path)


_STEPS = (
    (EtcdUsers, "_ask"),
    (RedisAdmin, "_dialogue"),
    (Writer, "replace"),
)


@pytest.mark.parametrize(("owner", "name"), _STEPS, ids=str)
def test_a_run_that_was_killed_is_completed_by_the_next(
    node: Layout,
    etcd: FakeEtcd,
    redis: FakeRedis,
    owner: type,
    name: str,
) -> None:
    """Killed at every call of one kind in turn, each time a step later, without a new start."""
    original = getattr(owner, name)
    for allowed in range(1, 60):
        left = allowed

        def step(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return original(*arguments, **named)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, step)
            status = secure(node)
        if status == 0:
            break
    assert allowed > 1
    check(node, etcd, redis)


def test_other_hosts_stores_are_left_alone(
    node: Layout, etcd: FakeEtcd, capsys: pytest.CaptureFixture[str]
) -> None:
    node.site.write_text(f'[etcd]\naddresses = ["127.0.0.1:{etcd.port}", "10.0.0.9:2379"]\n')
    assert secure(node) != 0
    assert "single node" in capsys.readouterr().err
    assert not etcd.users


def test_a_password_that_only_redis_knows(
    node: Layout, etcd: FakeEtcd, redis: FakeRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    redis.password = "of the admin's"
    assert secure(node) != 0
    assert "site set redis.password -" in capsys.readouterr().err
    assert not etcd.is_closed


def test_a_host_whose_packages_were_purged(
    node: Layout, etcd: FakeEtcd, redis: FakeRedis, configured: Configured
) -> None:
    """etcd's data has the users of before, whose passwords are gone with site.toml."""
    assert secure(node) == 0
    before = etcd.users["backendai"]
    site = tomllib.loads(node.site.read_text())
    node.site.write_text(
        node.site.read_text().replace(site["etcd"]["password"], "of the new installation")
    )
    assert secure(node) == 0
    assert etcd.users["backendai"] == "of the new installation" != before
    check(node, etcd, redis)


def test_a_user_that_nobody_can_change(
    node: Layout, etcd: FakeEtcd, capsys: pytest.CaptureFixture[str]
) -> None:
    assert secure(node) == 0
    etcd.users |= {"backendai": "another", "root": "another"}
    assert secure(node) != 0
    assert "refuses the user and password of site.toml" in capsys.readouterr().err


def test_a_redis_that_cannot_keep_it_stays_open(
    node: Layout, etcd: FakeEtcd, redis: FakeRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    redis.can_rewrite = False
    assert secure(node) != 0
    assert "running without a config file" in capsys.readouterr().err
    assert redis.password == ""
    assert not etcd.is_closed


@pytest.fixture
def halfstack(
    node: Layout, configured: Configured, redis: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, ...]]:
    """The same node with the stores in containers, which were made open; what systemd is asked."""
    install_recipe(node, "halfstack")
    shipped = node.shipped / "halfstack"
    shutil.copytree(PROJECT / "postinst/services/halfstack", shipped, dirs_exist_ok=True)
    configured("halfstack")
    redis.can_rewrite = False  # it reads its configuration from standard input
    asked: list[tuple[str, ...]] = []

    def control(action: str, *units: str, **_: object) -> str:
        asked.append((action, *units))
        conf = (node.etc / "halfstack-redis.conf").read_text()
        redis.password = re.findall('^requirepass "(.*)"$', conf, re.MULTILINE)[0]
        assert main(["--root", str(node.root), *_SECURE, "--no-restart"]) == 0
        return ""

    monkeypatch.setattr(stores, "control", control)
    return asked


def test_stores_in_containers_start_anew_with_a_password(
    node: Layout, etcd: FakeEtcd, redis: FakeRedis, halfstack: list[tuple[str, ...]]
) -> None:
    assert 'requirepass ""' in (node.etc / "halfstack-redis.conf").read_text()
    assert secure(node) == 0
    assert halfstack == [("restart", "backendai-halfstack.service")]
    redis.kept = redis.password  # what its file has
    check(node, etcd, redis)
    assert secure(node) == 0
    assert len(halfstack) == 1  # nothing is left to do


def test_a_halfstack_that_an_admin_edited_is_explained(
    node: Layout,
    etcd: FakeEtcd,
    halfstack: list[tuple[str, ...]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (node.etc / "halfstack.yml").write_text("services: {}\n")
    assert secure(node) != 0
    assert "halfstack.yml.new" in capsys.readouterr().err
    assert not halfstack
    assert not etcd.users


def test_the_doctor_reports_open_stores(node: Layout, etcd: FakeEtcd, redis: FakeRedis) -> None:
    found = list(check_open_stores(host_view(node)))
    assert [finding.where for finding in found] == [
        f"etcd on 127.0.0.1:{etcd.port}",
        f"Redis on 127.0.0.1:{redis.port}",
    ]
    assert {finding.severity.word for finding in found} == {"warning"}
    assert {finding.remedy for finding in found} == {"sudo backendai-ctl stores secure"}
    secure(node)
    assert not list(check_open_stores(host_view(node)))
