"""The storage proxy's configuration, its volume, and what it waits for."""

import base64
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from backendai_ctl import cli
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import HostError, NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.services.recipe import load_recipe
from backendai_ctl.stores.readiness import check_needs, check_start

from tests.helpers.ports import free_port
from tests.unit.postinst.configs import Configured, made, table


def test_storage_proxy_from_defaults(services: Layout, configured: Configured) -> None:
    said = configured("storage-proxy")
    found = made(services, "storage-proxy.toml")
    manager_api = table(found["api"]["manager"])
    assert manager_api == {
        "service-addr": {"host": "127.0.0.1", "port": 6022},
        "internal-addr": {"host": "127.0.0.1", "port": 16023},
        "announce-addr": {"host": "127.0.0.1", "port": 6022},
        "announce-internal-addr": {"host": "127.0.0.1", "port": 16023},
        "ssl-enabled": False,
        "secret": (services.secrets / "storage-proxy-manager-secret").read_text().strip(),
    }
    assert table(found["api"]["client"])["service-addr"] == {"host": "0.0.0.0", "port": 6021}
    own = found["storage-proxy"]
    assert (own["user"], own["group"]) == (1100, 1100)
    assert own["node-id"] == "i-storage-proxy-local"
    assert own["secret"] == (services.secrets / "storage-proxy-secret").read_text().strip()
    assert own["secret"] != manager_api["secret"]
    assert "num-proc" not in own
    assert not {"artifact-registries", "artifact-storages"} & set(found)
    assert found["volume"] == {"volume1": {"backend": "vfs", "path": "/srv/backendai/volume1"}}
    folder = services.root / "srv/backendai/volume1"
    assert folder.stat().st_mode & 0o7777 == 0o750
    assert said[-1] == "made /srv/backendai/volume1"
    assert (folder / "version.txt").read_text() == "3\n"
    assert configured("storage-proxy") == []


def test_it_does_not_start_without_the_folder_of_a_volume(
    services: Layout, configured: Configured
) -> None:
    services.site.write_text(f'[storage-proxy]\nmanager-address = "127.0.0.1:{free_port()}"\n')
    configured("storage-proxy")
    recipe = load_recipe(services, "storage-proxy")
    check_start(services, recipe)
    shutil.rmtree(services.root / "srv/backendai/volume1")
    with pytest.raises(NotReadyError) as caught:
        check_start(services, recipe)
    said = f"{services.etc}/storage-proxy.toml: volume.volume1.path = /srv/backendai/volume1"
    assert caught.value.message == f"{said}: no such folder"
    assert "backendai-ctl volume list" in str(caught.value.hint)


def test_a_volume_in_use_gets_no_file(services: Layout, configured: Configured) -> None:
    folder = services.root / "srv/backendai/volume1"
    folder.mkdir(parents=True)
    (folder / "users-folder").mkdir()
    configured("storage-proxy")
    assert [path.name for path in folder.iterdir()] == ["users-folder"]


def test_an_empty_volume_of_the_admins_gets_its_version(
    services: Layout, configured: Configured
) -> None:
    services.site.write_text('[storage]\npath = "/mnt/volume1"\n')
    (services.root / "mnt/volume1").mkdir(parents=True)
    assert "mnt" not in "".join(configured("storage-proxy"))
    assert (services.root / "mnt/volume1/version.txt").read_text() == "3\n"


def test_a_volume_that_cannot_be_made_is_reported(services: Layout, configured: Configured) -> None:
    (services.root / "srv").write_text("in the way")
    with pytest.raises(HostError, match=r"cannot make .*volume1: (Not a directory|File exists)"):
        configured("storage-proxy")


def test_nodes_agree_on_the_account_and_the_volume(
    services: Layout, configured: Configured
) -> None:
    services.site.write_text(
        '[account]\nuid = 1200\ngid = 1300\n[storage]\npath = "/mnt/nfs/volume1"\n'
    )
    said = configured("storage-proxy")
    found = made(services, "storage-proxy.toml")
    assert (found["storage-proxy"]["user"], found["storage-proxy"]["group"]) == (1200, 1300)
    assert table(found["volume"]["volume1"])["path"] == "/mnt/nfs/volume1"
    # A mount point is the admin's to make.
    assert said[-1] == (
        "warning: /mnt/nfs/volume1 (storage.path) is missing: "
        "mount it, or make it and give it to backendai"
    )
    assert not (services.root / "mnt").exists()


def test_a_volume_of_another_owner_is_reported(
    services: Layout, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured("storage-proxy")
    folder = services.root / "srv/backendai/volume1"
    mine = folder.stat()
    monkeypatch.setattr(
        "tests.unit.postinst.conftest.caller", lambda: Owner(uid=mine.st_uid, gid=mine.st_gid + 1)
    )
    (printed,) = configured("storage-proxy")
    assert printed == (
        f"warning: /srv/backendai/volume1 (storage.path) belongs to {mine.st_uid}:{mine.st_gid}, "
        f"the services run as {mine.st_uid}:{mine.st_gid + 1}"
    )


def test_etcd_gets_the_secret_that_the_storage_proxy_has(
    services: Layout, store: SecretStore, configured: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    services.site.write_text(
        '[storage-proxy]\nname = "rack1"\nclient-url = "https://files.example.com"\n'
    )
    configured("storage-proxy")
    assert cli.main(["--root", str(services.root), "--as-caller", "etcd", "storage-proxy"]) == 0
    printed = json.loads(capsys.readouterr().out)
    secret = table(made(services, "storage-proxy.toml")["api"]["manager"])["secret"]
    assert printed["volumes"]["proxies"] == {
        "rack1": {
            "client_api": "https://files.example.com",
            "manager_api": "http://127.0.0.1:6022",
            "secret": secret,
            "ssl_verify": "true",
        }
    }
    assert printed["volumes"]["default_host"] == "rack1:volume1"


def test_storage_proxy_waits_for_its_volume(services: Layout, configured: Configured) -> None:
    configured("storage-proxy")
    recipe = load_recipe(services, "storage-proxy")
    shutil.rmtree(services.root / "srv/backendai/volume1")
    with pytest.raises(NotReadyError, match=r"volume1.path = /srv/backendai/volume1: no such"):
        check_needs(services, recipe)


@contextmanager
def etcd_gateway(keys: set[str], password: str | None = None) -> Iterator[int]:
    """etcd's JSON gateway with these keys; gives its port."""

    class Gateway(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer: dict[str, object] = {"header": {}}
            if self.path == "/v3/auth/authenticate" and asked["password"] == password:
                answer["token"] = "a.token"
            elif self.path == "/v3/maintenance/alarm":
                pass
            elif self.path == "/v3/kv/range" and (
                password is None or self.headers["Authorization"] == "a.token"
            ):
                begin, end = (base64.b64decode(asked.get(n, "")) for n in ("key", "range_end"))
                found = [key.encode() for key in sorted(keys)]
                found = [key for key in found if begin <= key < end or key == begin]
                if found:
                    answer["count"] = str(len(found))  # a 64-bit number is a string in its JSON
                    answer["kvs"] = [{"key": base64.b64encode(key).decode()} for key in found]
            else:
                self.send_error(400)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("keys", "password", "given", "problem"),
    [
        ({"/sorna/rack/config/redis/addr"}, None, "", None),
        (
            {"/sorna/local/config/redis/addr"},
            None,
            "",
            "has no config/redis/addr or config/redis/sentinel yet",
        ),
        ({"/sorna/rack/config/redis/addr"}, "right", "right", None),
        ({"/sorna/rack/config/redis/addr"}, "right", "wrong", "refuses: HTTP Error 400"),
        ({"/sorna/rack/config/redis/addr"}, "right", "", "refuses: HTTP Error 400"),
    ],
)
def test_storage_proxy_waits_until_etcd_knows_redis(  # noqa: PLR0913, PLR0917
    services: Layout,
    configured: Configured,
    keys: set[str],
    password: str | None,
    given: str,
    problem: str | None,
) -> None:
    with etcd_gateway(keys, password) as port:
        user = "user = 'root'" if given else ""
        services.site.write_text(
            f'[etcd]\naddresses = ["127.0.0.1:{port}"]\nnamespace = "rack"\n'
            f'password = "{given}"\n{user}\n'
        )
        configured("storage-proxy")
        recipe = load_recipe(services, "storage-proxy")
        if problem is None:
            check_needs(services, recipe)
            return
        with pytest.raises(NotReadyError, match=problem):
            check_needs(services, recipe)


@pytest.mark.parametrize("instance", [None, "i-manager"])
def test_a_needed_key_may_be_any_below_another(
    services: Layout, configured: Configured, instance: str | None
) -> None:
    keys = {"/sorna/local/config/redis/addr", "/sorna/local/nodes/managers"}
    if instance:
        keys.add(f"/sorna/local/nodes/manager/{instance}")
    with etcd_gateway(keys) as port:
        services.site.write_text(f'[etcd]\naddresses = ["127.0.0.1:{port}"]\n')
        configured("storage-proxy")
        recipe = load_recipe(services, "storage-proxy")
        needs = replace(recipe.needs, etcd=("config/redis/addr", "nodes/manager/"))
        if instance:
            check_needs(services, replace(recipe, needs=needs))
            return
        with pytest.raises(NotReadyError, match="has no nodes/manager/ yet"):
            check_needs(services, replace(recipe, needs=needs))
