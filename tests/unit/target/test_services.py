"""The other services' configuration, and what they share with the manager."""

import base64
import http.server
import json
import shutil
import socket
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from backendai_target import cli
from backendai_target.errors import HostError, NotReadyError, RecipeError, SiteError
from backendai_target.files import Owner
from backendai_target.layout import Layout
from backendai_target.probe import ServiceConfig, check_needs, check_port
from backendai_target.recipe import load_recipe, resolve_tree
from backendai_target.schema import load_questions
from backendai_target.secretstore import SecretStore
from backendai_target.site import load_site, new_site

from builder.paths import PROJECT
from tests.unit.target import samples
from tests.unit.target.conftest import install_recipe
from tests.unit.target.rendered import spec

Configured = Callable[..., list[str]]
SAMPLES = (
    ("storage-proxy", "storage-proxy.toml", samples.STORAGE_PROXY),
    ("webserver", "webserver.conf", samples.WEBSERVER),
    ("appproxy-coordinator", "app-proxy-coordinator.toml", samples.COORDINATOR),
    ("appproxy-coordinator", "alembic-appproxy.ini", samples.COORDINATOR_ALEMBIC),
    ("appproxy-worker", "app-proxy-worker.toml", samples.WORKER),
)


@pytest.fixture
def services(layout: Layout) -> Layout:
    """That target with every other service's package installed, too."""
    for service, name, text in SAMPLES:
        layout.samples(service).mkdir(parents=True, exist_ok=True)
        (layout.samples(service) / name).write_text(text)
        install_recipe(layout, service)
    return layout


def made(layout: Layout, name: str) -> dict[str, dict[str, object]]:
    """A configuration file as its service reads it."""
    return tomllib.loads((layout.etc / name).read_text())


def table(value: object) -> dict[str, object]:
    """``value``, which is a table."""
    assert isinstance(value, dict)
    return value


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


def test_a_volume_that_cannot_be_made_is_told(services: Layout, configured: Configured) -> None:
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


def test_a_volume_of_another_owner_is_told(
    services: Layout, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured("storage-proxy")
    folder = services.root / "srv/backendai/volume1"
    mine = folder.stat()
    monkeypatch.setattr(
        "tests.unit.target.conftest.caller", lambda: Owner(uid=mine.st_uid, gid=mine.st_gid + 1)
    )
    (told,) = configured("storage-proxy")
    assert told == (
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
    told = json.loads(capsys.readouterr().out)
    secret = table(made(services, "storage-proxy.toml")["api"]["manager"])["secret"]
    assert told["volumes"]["proxies"] == {
        "rack1": {
            "client_api": "https://files.example.com",
            "manager_api": "http://127.0.0.1:6022",
            "secret": secret,
            "ssl_verify": "true",
        }
    }
    assert told["volumes"]["default_host"] == "rack1:volume1"


def test_a_service_without_anything_for_etcd_says_so_by_an_empty_table(
    services: Layout, store: SecretStore, configured: Configured
) -> None:
    assert resolve_tree(None, load_recipe(services, "webserver").etcd) == {}  # type: ignore[arg-type]


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
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
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


def test_webserver_from_defaults(services: Layout, configured: Configured) -> None:
    configured("webserver")
    found = made(services, "webserver.conf")
    assert (found["service"]["ip"], found["service"]["port"]) == ("0.0.0.0", 8090)
    assert found["service"]["webui_debug"] is False
    assert found["api"]["endpoint"] == "http://127.0.0.1:8081"
    redis = table(found["session"]["redis"])
    assert redis["addr"] == "127.0.0.1:6379"
    # An empty password would be sent, and refused.
    assert "password" not in redis
    assert found["webserver"]["ipc-base-path"] == "/run/backendai/webserver"
    # The gateway of this node, unless another is named.
    assert found["apollo-router"] == {"enabled": True, "endpoint": "http://127.0.0.1:4000"}
    assert found["debug"]["enabled"] is False
    # Nothing but what was asked for is new: a [section] that is not the webserver's.
    assert set(found) == set(tomllib.loads(samples.WEBSERVER))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://hive.example.com", {"enabled": True, "endpoint": "https://hive.example.com"}),
        ("", {"enabled": False}),
    ],
)
def test_webserver_asks_the_gateway_that_is_named(
    services: Layout, configured: Configured, url: str, expected: dict[str, object]
) -> None:
    services.site.write_text(f'[graphql]\nurl = "{url}"\n')
    configured("webserver")
    assert made(services, "webserver.conf")["apollo-router"] == expected


def test_graphql_gateway_is_for_this_host_unless_told_otherwise(
    services: Layout, configured: Configured
) -> None:
    shipped = PROJECT / "postinst/graphql/graphql.toml"
    (services.shipped / "graphql").mkdir(parents=True)
    (services.shipped / "graphql/graphql.toml").write_text(shipped.read_text())
    install_recipe(services, "graphql")
    configured("graphql")
    found = made(services, "graphql.toml")
    assert found["gateway"]["address"] == {"host": "127.0.0.1", "port": 4000}
    assert found["manager"]["url"] == "http://127.0.0.1:8081"
    (services.etc / "graphql.toml").unlink()
    services.site.write_text(
        '[graphql]\naddress = "[fd00::5]:4001"\n[manager]\nurl = "https://api.example.com"\n'
    )
    configured("graphql")
    found = made(services, "graphql.toml")
    assert found["gateway"]["address"] == {"host": "fd00::5", "port": 4001}
    assert found["manager"]["url"] == "https://api.example.com"
    recipe = load_recipe(services, "graphql")
    (address,) = ServiceConfig.load(services, recipe).addresses("gateway.address")
    assert str(address) == "[fd00::5]:4001"


def test_webserver_follows_the_answers(services: Layout, configured: Configured) -> None:
    services.site.write_text(
        '[webserver]\naddress = "[::1]:9090"\n[manager]\nurl = "https://api.example.com/"\n'
        '[redis]\naddress = "10.0.0.9:6380"\npassword = "p#\\"w"\n'
    )
    configured("webserver")
    found = made(services, "webserver.conf")
    assert (found["service"]["ip"], found["service"]["port"]) == ("::1", 9090)
    assert found["api"]["endpoint"] == "https://api.example.com/"
    redis = table(found["session"]["redis"])
    assert (redis["addr"], redis["password"]) == ("10.0.0.9:6380", 'p#"w')


def test_webservers_port_is_found_in_two_keys(services: Layout, configured: Configured) -> None:
    configured("webserver")
    path = services.etc / "webserver.conf"
    path.write_text(path.read_text().replace('ip = "0.0.0.0"\nport = 8090', "port = 8090"))
    with pytest.raises(HostError, match=r"service = .* is not an address"):
        check_port(services, load_recipe(services, "webserver"))


def test_coordinator_and_worker_share_their_secrets(
    services: Layout, configured: Configured
) -> None:
    services.site.write_text(
        '[database]\naddress = "10.0.0.4:5433"\n[redis]\npassword = "r"\n'
        '[appproxy]\nadvertised-address = "apps.example.com:443"\nworker-host = "10.0.0.7"\n'
    )
    configured("appproxy-worker")
    configured("appproxy-coordinator")
    coordinator = made(services, "app-proxy-coordinator.toml")
    worker = made(services, "app-proxy-worker.toml")
    for section in ("secrets", "permit_hash"):
        assert coordinator[section] == worker[section]
    shared = {*coordinator["secrets"].values(), *coordinator["permit_hash"].values()}
    assert len(shared) == 3
    assert not [one for one in shared if "some_" in str(one)]
    own = coordinator["proxy_coordinator"]
    assert own["advertised_addr"] == {"host": "apps.example.com", "port": 443}
    assert own["allow_unauthorized_configure_request"] is False
    assert worker["redis"]["password"] == coordinator["redis"]["password"] == "r"
    assert table(worker["proxy_worker"]["port_proxy"])["advertised_host"] == "10.0.0.7"
    # A database of its own, on the manager's server.
    assert coordinator["db"]["addr"] == {"host": "10.0.0.4", "port": 5433}
    password = (services.secrets / "appproxy-coordinator-database-password").read_text().strip()
    assert coordinator["db"]["password"] == password
    assert not (services.secrets / "manager-database-password").exists()
    url = f"postgresql+asyncpg://appproxy:{password}@10.0.0.4:5433/appproxy"
    assert f"sqlalchemy.url = {url}\n" in (services.etc / "alembic-appproxy.ini").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[storage]\npath = "/"', 'storage.path = "/": must be an absolute path'),
        ('[storage]\npath = "/srv/../etc"', "must be an absolute path"),
        ('[storage]\npath = "srv"', "must be an absolute path"),
        ('[manager]\nurl = "ftp://a"', 'manager.url = "ftp://a": must be a URL'),
        ('[manager]\nurl = "http://a?b"', "must be a URL"),
        ('[storage-proxy]\nname = "a/b"', "must be letters, digits"),
        ('[storage-proxi]\nname = "a"', "unknown section [storage-proxi] (did you mean 'storage-"),
        (
            '[webserver]\naddress = "0.0.0.0"',
            "must be HOST:PORT, for example 10.0.0.5:8090 or [fd00::5]:8090",
        ),
    ],
)
def test_wrong_answers(services: Layout, text: str, message: str) -> None:
    services.site.write_text(text + "\n")
    with pytest.raises(SiteError) as caught:
        load_site(services)
    assert message in caught.value.message


def test_worker_waits_for_the_coordinator(services: Layout, configured: Configured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as redis:
        free = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        services.site.write_text(
            f'[redis]\naddress = "127.0.0.1:{redis.getsockname()[1]}"\n[appproxy]\nurl = "{url}/"\n'
        )
        configured("appproxy-worker")
        recipe = load_recipe(services, "appproxy-worker")
        check_needs(services, recipe)
        free.close()
        with pytest.raises(NotReadyError, match="coordinator_endpoint"):
            check_needs(services, recipe)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://apps.example.com", "apps.example.com:443"),
        ("http://apps.example.com/x", "apps.example.com:80"),
        ("http://[::1]:10200", "[::1]:10200"),
        ("ftp://apps.example.com", None),
        ("http://apps.example.com:99999", None),
    ],
)
def test_where_a_url_leads_to(url: str, address: str | None) -> None:
    config = ServiceConfig(label="worker.toml", table={"endpoint": url})
    if address:
        assert [str(one) for one in config.addresses("endpoint")] == [address]
        return
    with pytest.raises(HostError, match=r"worker.toml: endpoint = "):
        config.addresses("endpoint")


def test_variables_of_a_section_with_a_hyphen(services: Layout) -> None:
    text = new_site(services, {"BACKENDAI_STORAGE_PROXY_NAME": "rack2"})
    assert tomllib.loads(text)["storage-proxy"]["name"] == "rack2"
    with pytest.raises(SiteError, match="did you mean 'BACKENDAI_STORAGE_PROXY_NAME'"):
        new_site(services, {"BACKENDAI_STORAGE_PROXY_NAMES": "rack2"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "id"', 'kind = "none"', "KeyError"),
        ("default = 1100", "default = 0", "a default is not of its kind"),
        ("[[section]]", "[[section", "ParseError|UnexpectedCharError|UnexpectedEof"),
    ],
)
def test_broken_questions_are_the_packages_fault(
    services: Layout, old: str, new: str, message: str
) -> None:
    services.questions.write_text(services.questions.read_text().replace(old, new, 1))
    with pytest.raises(RecipeError, match=message):
        load_questions(services)


def test_recipes_set_only_what_the_questions_have(services: Layout, store: SecretStore) -> None:
    """Every recipe that ships resolves; each is of a package, and each file has a sample."""
    from backendai_target.recipe import Answers  # noqa: PLC0415

    services.secrets.mkdir()
    answers = Answers(site=load_site(services), secrets=store)
    packages = {one.service.name: one for one in spec().packages.values() if one.service}
    for path in sorted((PROJECT / "postinst/recipes").glob("*.toml")):
        install_recipe(services, path.stem)
        recipe = load_recipe(services, path.stem)
        package = packages[recipe.service]
        assert package.service is not None
        assert tuple(config.file for config in recipe.configs) == package.service.config
        shipped = {Path(sample.target).name for sample in package.sample}
        assert {
            config.file
            for config in recipe.configs
            if not config.template and not config.file.endswith(".env")
        } <= shipped
        templates = {f"/usr/lib/backendai/{one.template}" for one in recipe.configs if one.template}
        assert templates <= {entry.target for entry in package.payload}
        for config in recipe.configs:
            resolve_tree(answers, config.settings)
        resolve_tree(answers, recipe.etcd)
        assert "{" not in answers.fill(recipe.steps)


@pytest.mark.parametrize(
    ("answer", "drivers"),
    [("journal", ["console"]), ("file", ["file"]), ("both", ["console", "file"])],
)
def test_logs_go_where_the_site_says(
    answer: str, drivers: list[str], services: Layout, configured: Configured
) -> None:
    services.site.write_text(f'[logging]\nto = "{answer}"\nfiles = 3\n')
    for service, file in (
        ("storage-proxy", "storage-proxy.toml"),
        ("webserver", "webserver.conf"),
        ("appproxy-worker", "app-proxy-worker.toml"),
    ):
        configured(service)
        logging = table(made(services, file)["logging"])
        assert logging["drivers"] == drivers
        files = table(logging["file"])
        assert files["path"] == f"/var/log/backendai/{service}"
        # The server itself begins a new file; nothing else may move the old one away.
        assert files["backup-count"] == 3


@pytest.mark.parametrize("line", ['to = "syslog"', "files = 0", "files = true"])
def test_a_wrong_answer_about_logs_is_refused(
    line: str, services: Layout, configured: Configured
) -> None:
    services.site.write_text(f"[logging]\n{line}\n")
    with pytest.raises(SiteError, match=r"logging\.\w+ = .*: must be (journal|a number)"):
        configured("webserver")
