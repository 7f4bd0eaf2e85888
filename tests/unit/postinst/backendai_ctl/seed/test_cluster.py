"""What nodes share: keys of etcd that are never overwritten, secrets that must agree."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from backendai_ctl.answers.kinds import Address
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import NotReadyError, TargetError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.cli import main
from backendai_ctl.seed.model import State
from backendai_ctl.seed.steps.cluster import EtcdStep, SecretsStep, fingerprint, shared_secrets
from backendai_ctl.seed.tree import leaves
from backendai_ctl.services.configure import Host, configure
from backendai_ctl.services.secrets_archive import (
    import_secrets,
    pack_secrets,
    remove_unmodified_configs,
    unpack_secrets,
)
from backendai_ctl.stores.etcd import Etcd

from tests.unit.postinst.conftest import fake_pair

PREFIX = "/sorna/local/"


class Gateway(BaseHTTPRequestHandler):
    """As much of etcd's JSON gateway as is called: ranges of one key, and transactions."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kept: dict[str, str] = self.server.kept  # type: ignore[attr-defined]
        answer: dict[str, Any] = {}
        if self.path.endswith("/range") and asked["key"] in kept:
            found = {"key": asked["key"], "value": kept[asked["key"]]}
            answer = {"count": "1", "kvs": [found]}
        elif self.path.endswith("/txn"):
            if not any(condition["key"] in kept for condition in asked["compare"]):
                kept |= {
                    put["request_put"]["key"]: put["request_put"]["value"]
                    for put in asked["success"]
                }
                answer = {"succeeded": True}
        elif self.path.endswith("/put"):
            kept[asked["key"]] = asked["value"]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def etcd() -> Iterator[Etcd]:
    """An etcd that holds nothing."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    server.kept = {}  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.005,))
    thread.start()
    host, port = server.server_address[:2]
    yield Etcd(address=Address(host=str(host), port=port), namespace="local")
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_tree_is_flattened_as_the_services_read_it() -> None:
    tree = {
        "config": {"redis": {"addr": "h:1", "password": None}, "on": True},
        "registry": {"r:5000/x": {"": "https://r", "type": "docker"}},
        "count": 3,
    }
    assert dict(leaves(tree)) == {
        "config/redis/addr": "h:1",
        "config/on": "true",
        "registry/r%3A5000%2Fx": "https://r",
        "registry/r%3A5000%2Fx/type": "docker",
        "count": "3",
    }


def test_only_absent_keys_are_created(etcd: Etcd) -> None:
    step = EtcdStep(name="etcd manager", etcd=etcd, wanted={"a": "1", "b": "2"})
    etcd.create({"a": "the admin's"})
    assert step.inspect().state is State.CREATE
    assert step.inspect().detail == "b"
    step.apply()
    assert (etcd.get("a"), etcd.get("b")) == ("the admin's", "2")
    assert step.inspect().state is State.DIFFERS
    assert step.inspect().detail == "a"
    assert "the admin's" not in step.inspect().detail


def test_what_an_admin_has_removed_stays_removed(etcd: Etcd) -> None:
    etcd.create({"backendai-packages/made/a": "1"})  # made once, and gone now
    step = EtcdStep(name="etcd manager", etcd=etcd, wanted={"a": "1"})
    assert step.inspect().state is State.DIFFERS
    assert step.inspect().detail == "removed: a"
    step.apply()
    assert etcd.get("a") is None


def test_the_first_nodes_secrets_are_the_clusters(etcd: Etcd) -> None:
    first = SecretsStep(etcd=etcd, secrets={"rpc": "abc\n", "db": "def\n"})
    assert first.inspect().state is State.CREATE
    first.apply()
    assert first.inspect().state is State.EXISTS
    same = SecretsStep(etcd=etcd, secrets={"rpc": "abc", "jwt": "new"})
    assert (same.inspect().state, same.inspect().detail) == (State.CREATE, "register jwt")
    other = SecretsStep(etcd=etcd, secrets={"rpc": "xyz", "db": "def"})
    found = other.inspect()
    assert (found.state, found.blocks) == (State.DIFFERS, True)
    assert found.detail == "not the cluster's: rpc"
    assert "secrets export" in found.remedy
    other.apply()  # registers nothing that is there
    assert first.inspect().state is State.EXISTS
    other.adopt()
    assert other.inspect().state is State.EXISTS
    assert first.inspect().blocks


def test_an_adopted_secret_takes_the_place_of_the_one_in_etcd(etcd: Etcd, layout: Layout) -> None:
    """What the manager asks the storage proxy with; what is no secret is left alone."""
    names = layout.shared_secrets
    names.write_text("manager-secret\nstorage-proxy-manager-secret\n")
    layout.site.write_text(
        f'[etcd]\naddresses = ["{etcd.address}"]\n'
        '[storage-proxy]\nmanager-url = "http://10.0.0.7:6022"\n'
    )
    secrets = configured(layout)
    proxy = "volumes/proxies/local"
    etcd.create({f"{proxy}/secret": "lost", f"{proxy}/manager_api": "http://10.0.0.8:6022"})
    own = secrets.secret("storage-proxy-manager-secret")
    root = ["--root", str(layout.root), "--as-caller"]
    assert main([*root, "secrets", "adopt"]) == 0
    assert etcd.get(f"{proxy}/secret") == own
    assert etcd.get(f"{proxy}/manager_api") == "http://10.0.0.8:6022"
    assert etcd.get(f"{proxy}/client_api") is None


def test_a_secret_in_whose_place_an_answer_is_given_is_not_compared(layout: Layout) -> None:
    """Each node that is installed before it joins has made one of its own."""
    name = "manager-database-password"
    layout.shared_secrets.write_text(f"{name}\nmanager-secret\n")
    layout.secrets.mkdir()
    for secret in (name, "manager-secret"):
        (layout.secrets / secret).write_text("own\n")
    for site, compared in (
        ("", {name, "manager-secret"}),
        ("password = 'x'\n", {"manager-secret"}),
    ):
        layout.site.write_text(f"[database]\n{site}")
        found = shared_secrets(layout.secrets, layout.shared_secrets, load_site(layout))
        assert set(found) == compared


def test_a_fingerprint_does_not_show_the_secret() -> None:
    assert "abc" not in fingerprint("rpc", "abc")
    assert fingerprint("rpc", "abc") == fingerprint("rpc", "abc\n")
    assert fingerprint("rpc", "abc") != fingerprint("db", "abc")


def store(layout: Layout) -> SecretStore:
    """The secrets of a host."""
    writer = Writer(owner=Owner(uid=layout.etc.stat().st_uid, gid=layout.etc.stat().st_gid))
    return SecretStore(folder=layout.secrets, writer=writer, make_pair=fake_pair)


def configured(layout: Layout) -> SecretStore:
    """A host whose manager is configured."""
    secrets = store(layout)
    host = Host(account=secrets.writer.owner, environment={}, say=lambda _: None)
    configure("manager", layout=layout, secrets=secrets, host=host)
    return secrets


def test_secrets_travel_in_an_archive(layout: Layout, tmp_path: Path) -> None:
    secrets = configured(layout)
    carried = unpack_secrets(pack_secrets(layout))
    assert carried["manager-secret"].strip() == secrets.secret("manager-secret")
    other = Layout(root=tmp_path / "other")
    changed = import_secrets(other, secrets, carried, replace=False)
    assert set(changed) == set(carried)
    assert (other.secrets / "manager-secret").read_text() == carried["manager-secret"]
    assert (other.secrets / "manager-secret").stat().st_mode & 0o777 == 0o600
    assert import_secrets(other, secrets, carried, replace=False) == []


def test_other_secrets_are_replaced_only_when_asked(layout: Layout) -> None:
    secrets = configured(layout)
    carried = {"manager-secret": "another\n", "new-one": "x\n"}
    with pytest.raises(TargetError, match="another manager-secret"):
        import_secrets(layout, secrets, carried, replace=False)
    assert not (layout.secrets / "new-one").exists()
    import_secrets(layout, secrets, carried, replace=True)
    assert secrets.secret("manager-secret") == "another"


def test_an_edited_configuration_is_reported_and_left(layout: Layout) -> None:
    configured(layout)
    edited = layout.etc / "manager.toml"
    edited.write_text(edited.read_text() + "\n# mine\n")
    services, kept = remove_unmodified_configs(layout)
    assert services == ["manager"]
    assert kept == [str(edited)]
    assert edited.exists()
    assert not (layout.etc / "alembic.ini").exists()


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\0" * 1024])
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    with pytest.raises(TargetError):
        unpack_secrets(content)


def test_an_etcd_that_is_away_is_no_answer() -> None:
    etcd = Etcd(address=Address(host="127.0.0.1", port=1), namespace="local")
    with pytest.raises(NotReadyError):
        EtcdStep(name="etcd", etcd=etcd, wanted={"a": "1"}).inspect()
