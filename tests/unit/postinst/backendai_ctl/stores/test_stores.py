"""What site.toml says of the stores reaches each service in the release's own words."""

import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from backendai_ctl.answers.resolve import Answers, resolve_tree
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.environment import read_environment, use_environment
from backendai_ctl.base.errors import NotReadyError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.tree import leaves
from backendai_ctl.services.recipe import load_recipe
from backendai_ctl.stores.readiness import check_needs

from builder.base.paths import PROJECT
from tests.helpers.ports import free_port
from tests.unit.postinst.conftest import install_recipe

Configured = Callable[..., list[str]]
SENTINEL = '[redis]\nsentinels = ["10.0.0.1:26379", "10.0.0.2:26379"]\npassword = "p"\n'


def redis_in_etcd(layout: Layout, store: SecretStore) -> object:
    """What etcd shall hold of Redis."""
    store.folder.mkdir(exist_ok=True)
    answers = Answers(site=load_site(layout), secrets=store)
    tree = resolve_tree(answers, load_recipe(layout, "manager").etcd)
    config = tree["config"]
    assert isinstance(config, dict)
    return config["redis"]


def test_one_server_is_an_address(layout: Layout, store: SecretStore) -> None:
    assert redis_in_etcd(layout, store) == {"addr": "127.0.0.1:6379"}
    layout.site.write_text('[redis]\naddress = "10.0.0.9:6380"\npassword = "p"\n')
    assert redis_in_etcd(layout, store) == {"addr": "10.0.0.9:6380", "password": "p"}


def test_sentinels_take_the_place_of_the_address(layout: Layout, store: SecretStore) -> None:
    layout.site.write_text(SENTINEL + 'service-name = "main"\nsentinel-password = "s"\n')
    assert redis_in_etcd(layout, store) == {
        "sentinel": "10.0.0.1:26379,10.0.0.2:26379",
        "service_name": "main",
        "sentinel_password": "s",
        "password": "p",
    }


def test_the_manager_gets_a_storage_proxy_of_another_node(
    layout: Layout, store: SecretStore
) -> None:
    """By the very keys that the storage proxy fills, and with the secret that both have."""
    install_recipe(layout, "storage-proxy")
    store.folder.mkdir(exist_ok=True)
    secret = store.folder / "storage-proxy-manager-secret"

    def keys(service: str) -> dict[str, str]:
        answers = Answers(site=load_site(layout), secrets=store)
        tree = resolve_tree(answers, load_recipe(layout, service).etcd)
        return {key: value for key, value in leaves(tree) if key.startswith("volumes/")}

    assert not keys("manager")
    assert not secret.exists()
    layout.site.write_text(
        '[storage-proxy]\nname = "remote"\n'
        'manager-url = "http://10.0.0.7:6022"\nclient-url = "http://10.0.0.7:6021"\n'
    )
    assert keys("manager") == keys("storage-proxy")
    assert keys("manager")["volumes/proxies/remote/manager_api"] == "http://10.0.0.7:6022"
    assert keys("manager")["volumes/proxies/remote/secret"] == secret.read_text().strip()


@pytest.mark.parametrize(
    ("service", "file", "text", "redis"),
    [
        (
            "webserver",
            "webserver.conf",
            '[session.redis]\naddr = "localhost:8111"\n# password = "mysecret"\n',
            {
                "sentinel": "10.0.0.1:26379,10.0.0.2:26379",
                "service_name": "mymaster",
                # Else the release sends the server's, which Sentinels without one refuse.
                "sentinel_password": "",
                "password": "p",
            },
        ),
        (
            "appproxy-worker",
            "app-proxy-worker.toml",
            '[redis]\naddr = { host = "127.0.0.1", port = 8110 }\n',
            {
                "sentinel": [
                    {"host": "10.0.0.1", "port": 26379},
                    {"host": "10.0.0.2", "port": 26379},
                ],
                "service_name": "mymaster",
                "password": "p",
            },
        ),
    ],
)
def test_sentinels_in_a_file(  # noqa: PLR0913, PLR0917
    layout: Layout,
    configured: Configured,
    service: str,
    file: str,
    text: str,
    redis: object,
) -> None:
    install_recipe(layout, service)
    layout.samples(service).mkdir(parents=True)
    (layout.samples(service) / file).write_text(text)
    layout.site.write_text(SENTINEL)
    configured(service)
    made = tomllib.loads((layout.etc / file).read_text())
    assert made.get("session", made)["redis"] == redis


def test_a_store_behind_sentinels_is_looked_for_there(layout: Layout) -> None:
    install_recipe(layout, "webserver")
    port = free_port()
    (layout.etc / "webserver.conf").write_text(
        f'[session.redis]\nsentinel = "127.0.0.1:{port},127.0.0.1:{port}"\n'
    )
    with pytest.raises(NotReadyError, match=rf":{port}, .*session\.redis\.sentinel"):
        check_needs(layout, load_recipe(layout, "webserver"))


def test_tls_to_postgresql_is_in_the_environment(
    layout: Layout, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.site.write_text('[database]\ntls = "verify-full"\ntls-ca = "/etc/ssl/site ca.pem"\n')
    with pytest.raises(SiteError, match="without spaces"):
        configured()
    layout.site.write_text('[database]\ntls = "verify-full"\ntls-ca = "/etc/ssl/site.pem"\n')
    configured()
    expected = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/etc/ssl/site.pem"}
    assert read_environment(layout, "manager") == expected
    monkeypatch.delenv("PGSSLMODE", raising=False)
    monkeypatch.setenv("PGSSLROOTCERT", "/caller")
    use_environment(layout, "manager")
    assert (os.environ["PGSSLMODE"], os.environ["PGSSLROOTCERT"]) == ("verify-full", "/caller")
    assert read_environment(layout, "webserver") == {}


def test_verifying_needs_certificates(layout: Layout) -> None:
    layout.site.write_text('[database]\ntls = "verify-ca"\n')
    with pytest.raises(SiteError) as caught:
        load_site(layout)
    assert caught.value.problems == [
        f'{layout.site}: database.tls = "verify-ca": needs database.tls-ca, which is empty'
    ]
    layout.site.write_text('[database]\ntls = "yes"\n')
    with pytest.raises(SiteError, match="must be prefer, require, verify-ca or verify-full"):
        load_site(layout)


def test_the_metadata_server_is_not_on_every_address() -> None:
    questions = tomllib.loads((PROJECT / "postinst/site/questions.toml").read_text())
    (section,) = (section for section in questions["section"] if section["name"] == "agent")
    (question,) = (
        question for question in section["question"] if question["key"] == "metadata-host"
    )
    assert question["default"] == "127.0.0.1"
    recipe = tomllib.loads(Path(PROJECT / "postinst/services/agent/recipe.toml").read_text())
    wanted = recipe["config"][0]["set"]["agent.metadata-server-bind-host"]
    assert wanted == {"site": "agent.metadata-host"}
