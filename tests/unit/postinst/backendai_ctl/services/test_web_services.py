"""The configuration of what answers browsers: webserver, GraphQL gateway, app proxy."""

import hashlib
import socket
import tomllib

import pytest
from backendai_ctl.answers.resolve import resolve_tree
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.base.errors import HostError, NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.services.recipe import load_recipe
from backendai_ctl.stores.ports import check_port
from backendai_ctl.stores.readiness import check_needs
from backendai_ctl.stores.service_config import ServiceConfig

from builder.base.paths import PROJECT
from tests.helpers.redis_server import redis_server
from tests.unit.postinst import samples
from tests.unit.postinst.configs import Configured, made, table
from tests.unit.postinst.conftest import install_recipe


def test_a_service_without_anything_for_etcd_says_so_by_an_empty_table(
    services: Layout, store: SecretStore, configured: Configured
) -> None:
    assert resolve_tree(None, load_recipe(services, "webserver").etcd) == {}  # type: ignore[arg-type]


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
    # On a fresh node no agent has an image yet, and the launcher has to list some.
    assert found["environments"]["show-non-installed-images"] is True
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


def test_graphql_gateway_is_for_this_host_by_default(
    services: Layout, configured: Configured
) -> None:
    shipped = PROJECT / "postinst/services/graphql/graphql.toml"
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
    assert not [path for path in shared if "some_" in str(path)]
    own = coordinator["proxy_coordinator"]
    assert own["advertised_addr"] == {"host": "apps.example.com", "port": 443}
    # Without it the manager of this release is refused, and no application opens.
    assert own["allow_unauthorized_configure_request"] is True
    assert worker["redis"]["password"] == coordinator["redis"]["password"] == "r"
    assert table(worker["proxy_worker"]["port_proxy"])["advertised_host"] == "10.0.0.7"
    # A database of its own, on the manager's server.
    assert coordinator["db"]["addr"] == {"host": "10.0.0.4", "port": 5433}
    password = (services.secrets / "appproxy-coordinator-database-password").read_text().strip()
    assert coordinator["db"]["password"] == password
    assert not (services.secrets / "manager-database-password").exists()
    url = f"postgresql+asyncpg://appproxy:{password}@10.0.0.4:5433/appproxy"
    assert f"sqlalchemy.url = {url}\n" in (services.etc / "alembic-appproxy.ini").read_text()


def test_app_proxy_is_for_this_node_alone_unless_told_otherwise(
    services: Layout, configured: Configured
) -> None:
    configured("appproxy-worker")
    configured("appproxy-coordinator")
    own = made(services, "app-proxy-coordinator.toml")["proxy_coordinator"]
    assert own["bind_addr"] == own["advertised_addr"] == {"host": "127.0.0.1", "port": 10200}
    worker = made(services, "app-proxy-worker.toml")["proxy_worker"]
    local = {"host": "127.0.0.1", "port": 10201}
    assert worker["api_bind_addr"] == worker["api_advertised_addr"] == local
    ports = table(worker["port_proxy"])
    assert (ports["bind_host"], ports["advertised_host"]) == ("127.0.0.1", "127.0.0.1")


def test_one_answer_shows_the_app_proxy_to_browsers(
    services: Layout, configured: Configured
) -> None:
    services.site.write_text('[node]\npublic-host = "node.example.com"\n')
    configured("appproxy-worker")
    configured("appproxy-coordinator")
    own = made(services, "app-proxy-coordinator.toml")["proxy_coordinator"]
    assert own["bind_addr"] == {"host": "0.0.0.0", "port": 10200}
    assert own["advertised_addr"] == {"host": "node.example.com", "port": 10200}
    worker = made(services, "app-proxy-worker.toml")["proxy_worker"]
    assert worker["api_bind_addr"] == {"host": "0.0.0.0", "port": 10201}
    assert worker["api_advertised_addr"] == {"host": "node.example.com", "port": 10201}
    ports = table(worker["port_proxy"])
    assert (ports["bind_host"], ports["advertised_host"]) == ("0.0.0.0", "node.example.com")
    assert worker["coordinator_endpoint"] == "http://127.0.0.1:10200"


def test_an_address_of_this_node_alone_is_not_listened_for_elsewhere(
    services: Layout, configured: Configured
) -> None:
    """As site.toml has it that older packages made, with every answer in it."""
    services.site.write_text(
        '[appproxy]\naddress = "0.0.0.0:10200"\nadvertised-address = "localhost:10200"\n'
        'worker-address = "[::]:10201"\nworker-host = "127.0.0.1"\n'
    )
    configured("appproxy-worker")
    configured("appproxy-coordinator")
    own = made(services, "app-proxy-coordinator.toml")["proxy_coordinator"]
    assert own["bind_addr"] == {"host": "127.0.0.1", "port": 10200}
    worker = made(services, "app-proxy-worker.toml")["proxy_worker"]
    assert worker["api_bind_addr"] == {"host": "127.0.0.1", "port": 10201}


def test_an_unedited_coordinator_is_made_anew_and_an_edited_one_is_kept(
    services: Layout, configured: Configured
) -> None:
    configured("appproxy-coordinator")
    path, record = (
        folder / "app-proxy-coordinator.toml" for folder in (services.etc, services.generated)
    )
    wanted = path.read_text()
    former = wanted.replace("configure_request = true", "configure_request = false")
    assert former != wanted

    def as_made_before(text: str) -> None:
        path.write_text(text)
        record.write_text(f"made {hashlib.sha256(former.encode()).hexdigest()}\n")

    as_made_before(former)
    assert configured("appproxy-coordinator") == [f"made {path} anew, which nobody has edited"]
    assert path.read_text() == wanted
    assert configured("appproxy-coordinator") == []
    as_made_before(f"{former}# mine\n")
    (said,) = configured("appproxy-coordinator")
    assert said.startswith(f"kept {path}")
    assert path.read_text() == f"{former}# mine\n"
    fresh = path.with_name(f"{path.name}.new")
    assert fresh.read_text() == wanted


def test_worker_waits_for_the_coordinator(services: Layout, configured: Configured) -> None:
    with redis_server() as (port, _):
        free = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        services.site.write_text(
            f'[redis]\naddress = "127.0.0.1:{port}"\n[appproxy]\nurl = "{url}/"\n'
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
        assert [str(found) for found in config.addresses("endpoint")] == [address]
        return
    with pytest.raises(HostError, match=r"worker.toml: endpoint = "):
        config.addresses("endpoint")
