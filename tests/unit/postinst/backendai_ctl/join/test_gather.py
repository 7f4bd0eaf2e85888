"""What the first node gives to each role, and when it refuses because that would be of no use."""

import json
import stat
from collections.abc import Callable

import pytest
from backendai_ctl.base.errors import HostError, NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.join import gather
from backendai_ctl.join.gather import Gathering, cluster_of
from backendai_ctl.join.payload import parse_payload
from backendai_ctl.join.roles import load_role, role_names

from builder.base.paths import PROJECT
from tests.unit.postinst.conftest import install_recipe
from tests.unit.postinst.manager_keys import KEY, Kept

SECRETS = {
    "manager-secret": "word-manager",
    "manager-watcher-token": "word-watcher",
    "manager-accounts": "word-accounts",
    "manager-database-password": "word-database",
    "manager-rpc.key_secret": "word-rpc",
    "manager-rpc.key": f'curve\n    public-key = "{KEY}"\n',
    "storage-proxy-manager-secret": "word-storage",
    "storage-proxy-secret": "word-own",
    "agent-rpc.key_secret": "word-agent",
    "appproxy-coordinator-api-secret": "word-api",
    "stores-etcd-root": "word-root",
}
SITE = """\
[etcd]
addresses = ["10.0.0.1:2379"]
user = "backendai"
password = "word-etcd"
[redis]
address = "10.0.0.1:6379"
password = "word-redis"
[database]
address = "10.0.0.1:5432"
password = "word-typed"
[manager]
url = "http://10.0.0.1:8081"
[graphql]
url = "http://10.0.0.1:4000"
[storage]
options = ["token=word-volume"]
[storage.fast]
path = "/srv/fast"
[registry]
url = "https://hub.example.org"
password = "word-hub"
[registry.lab]
url = "https://lab.example.org"
password = "word-lab"
"""
# Which secrets of the first node, by a word of each, a role has.
WORDS = {
    "agent": {"word-etcd"},
    "storage": {"word-etcd", "word-storage", "word-volume"},
    "web": {"word-redis"},
    "manager": {
        "word-etcd", "word-redis", "word-typed", "word-database", "word-manager", "word-accounts",
        "word-rpc", "word-storage", "word-watcher", "word-api", "word-hub", "word-lab",
    },
}  # fmt: skip


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The keys of etcd."""
    found: dict[str, str] = {"config/redis/addr": "10.0.0.1:6379"}
    monkeypatch.setattr(gather, "first_etcd", lambda _: Kept(found))
    return found


@pytest.fixture
def first(layout: Layout, kept: dict[str, str]) -> Layout:
    """A first node with a manager."""
    layout.roles.write_text((PROJECT / "postinst/site/roles.toml").read_text())
    layout.site.write_text(SITE)
    layout.secrets.mkdir()
    for name, text in SECRETS.items():
        (layout.secrets / name).write_text(f"{text}\n")
    return layout


def gathering(layout: Layout, role: str, **more: bool) -> Gathering:
    """That node, asked for a role."""
    return Gathering(layout=layout, role=load_role(layout, role), host="10.0.0.1", **more)


@pytest.mark.parametrize("role", WORDS)
def test_a_role_gets_its_secrets_and_no_other(first: Layout, role: str) -> None:
    text = json.dumps(gathering(first, role).run().as_table())
    words = {word for word in (*SECRETS.values(), *_typed()) if word.startswith("word-")}
    assert {word for word in words if word in text} == WORDS[role]


def _typed() -> list[str]:
    return [f"word-{name}" for name in ("etcd", "redis", "typed", "hub", "lab", "volume")]


def test_every_role_is_checked(first: Layout) -> None:
    assert set(role_names(first)) == set(WORDS)


def test_an_agent_gets_the_managers_key_and_registries_without_passwords(first: Layout) -> None:
    brought = gathering(first, "agent").run()
    answers = brought.answers
    assert list(brought.secrets) == ["manager-rpc.key"]
    assert KEY in brought.secrets["manager-rpc.key"]
    assert answers["registry.lab.url"] == "https://lab.example.org"
    assert answers["storage.fast.path"] == "/srv/fast"
    assert not [name for name in answers if name.startswith(("database", "redis", "appproxy"))]


def test_a_store_on_loopback_is_named_with_the_next_command(
    first: Layout, kept: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "answers", lambda _: False)
    kept["config/redis/addr"] = "127.0.0.1:6379"
    first.site.write_text('[etcd]\naddresses = ["127.0.0.1:2379", "localhost:2380"]\n')
    with pytest.raises(NotReadyError) as caught:
        gathering(first, "agent").run()
    first_line, second, third = caught.value.message.splitlines()
    assert "etcd.addresses is 127.0.0.1:2379, and nothing answers at 10.0.0.1:2379" in first_line
    assert "ETCD_LISTEN_CLIENT_URLS" in first_line
    assert "localhost:2380" in second
    assert "config/redis/addr in etcd is 127.0.0.1:6379" in third
    assert "put config/redis/addr 10.0.0.1:6379" in third
    assert "--keep-loopback" in str(caught.value.hint)
    kept_answers = gathering(first, "agent", keeps_loopback=True).run().answers
    assert kept_answers["etcd.addresses"] == ["127.0.0.1:2379", "localhost:2380"]


def test_a_manager_is_not_invited_while_a_storage_proxy_answers_on_loopback_alone(
    first: Layout, kept: dict[str, str]
) -> None:
    kept["volumes/proxies/far/manager_api"] = "http://10.0.0.9:6022"
    kept["volumes/proxies/local/client_api"] = "http://127.0.0.1:6021"
    kept["volumes/proxies/local/manager_api"] = "http://127.0.0.1:6022"
    with pytest.raises(NotReadyError) as caught:
        gathering(first, "manager").run()
    (line,) = caught.value.message.splitlines()
    assert line.startswith("volumes/proxies/local/manager_api in etcd is http://127.0.0.1:6022,")
    assert "etcd put volumes/proxies/local/manager_api http://10.0.0.1:6022 " in line
    gathering(first, "storage").run()
    gathering(first, "manager", keeps_loopback=True).run()


def test_secrets_that_the_cluster_would_refuse_are_not_given(
    first: Layout, kept: dict[str, str]
) -> None:
    kept["backendai-packages/secrets/storage-proxy-manager-secret"] = "of another"
    with pytest.raises(NotReadyError, match="not the cluster's: storage-proxy-manager-secret"):
        gathering(first, "storage").run()
    gathering(first, "agent").run()


def test_loopback_becomes_the_nodes_address_where_that_answers(
    first: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "answers", lambda _: True)
    first.site.write_text("[redis]\naddress = 'localhost:7000'\n")
    answers = gathering(first, "web").run().answers
    assert answers["redis.address"] == "10.0.0.1:7000"
    assert answers["manager.url"] == "http://10.0.0.1:8081"
    assert answers["graphql.url"] == "http://10.0.0.1:4000"


def test_of_several_servers_the_single_address_keeps_nobody_out(
    first: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that is not used may stay at its default, on loopback."""
    monkeypatch.setattr(gather, "answers", lambda _: False)
    several = ["10.0.0.1:5432", "10.0.0.2:5432"]
    first.site.write_text(
        '[etcd]\naddresses = ["10.0.0.1:2379"]\n'
        f"[database]\nmembers = {several}\n"
        '[redis]\nsentinels = ["10.0.0.1:26379", "10.0.0.2:26379"]\n'
    )
    answers = gathering(first, "manager").run().answers
    assert answers["database.members"] == several
    assert answers["database.address"] == "127.0.0.1:5432"
    first.site.write_text(first.site.read_text().replace("'10.0.0.1:5432'", "'127.0.0.1:5432'"))
    with pytest.raises(NotReadyError, match=r"site set database\.members HOST"):
        gathering(first, "manager").run()


def test_a_storage_node_has_a_name_of_its_own_beside_the_first_nodes(
    first: Layout,
) -> None:
    given = '[storage-proxy]\nname = "big"\nmanager-url = "http://10.0.0.9:6022"\n'
    first.site.write_text(SITE + given)
    described = gathering(first, "storage").run()
    assert described.answers["storage-proxy.manager-url"] == "http://10.0.0.9:6022"
    assert described.taken == {}
    install_recipe(first, "storage-proxy")
    beside = gathering(first, "storage").run()
    assert "storage-proxy.manager-url" not in beside.answers
    assert beside.taken == {"storage-proxy.name": "big"}


def test_storage_nodes_share_a_secret_that_the_first_node_never_needed(first: Layout) -> None:
    path = first.secrets / "storage-proxy-manager-secret"
    path.unlink()
    one, two = (gathering(first, "storage").run().secrets for _ in range(2))
    assert one == two
    assert one[path.name] == path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_authoritys_certificate_comes_along(first: Layout) -> None:
    first.site.write_text(SITE.replace("[registry]", '[registry]\nca = "/etc/pki/hub.pem"'))
    with pytest.raises(HostError, match="cannot read an authority's certificate"):
        gathering(first, "agent").run()
    (first.root / "etc/pki").mkdir()
    (first.root / "etc/pki/hub.pem").write_text("PEM\n")
    assert gathering(first, "agent").run().files == {"/etc/pki/hub.pem": "PEM\n"}


def test_a_node_without_a_manager_invites_nobody(first: Layout) -> None:
    (first.secrets / "manager-secret").unlink()
    with pytest.raises(HostError, match="this node has no manager"):
        gathering(first, "agent").run()


def test_the_clusters_id_shows_nothing_of_the_secret(first: Layout) -> None:
    before = cluster_of(first)
    assert before is not None
    assert len(before) == 12
    (first.secrets / "manager-secret").write_text("another\n")
    assert cluster_of(first) != before


def test_every_answer_and_secret_of_the_roles_exists(
    first: Layout, configured: Callable[..., list[str]]
) -> None:
    from backendai_ctl.answers.questions import load_questions  # noqa: PLC0415

    known = {question.name for question in load_questions(first).all}
    sections = {name.partition(".")[0] for name in known}
    for name in role_names(first):
        role = load_role(first, name)
        for pattern in (*role.answers, *role.described, *role.distinct, *role.own, *role.reaches):
            section, _, key = pattern.rpartition(".")
            assert pattern in known or (key == "*" and section in sections), pattern
        assert set(role.secrets) <= set(SECRETS)
        assert set(role.reaches) | set(role.keys) <= set(role.remedies)


@pytest.mark.parametrize("name", ["web", "manager", "storage"])
def test_a_role_that_users_reach_has_tls_and_trusts_the_first_nodes_authority(
    first: Layout, name: str
) -> None:
    assert "tls.self-signed" not in gathering(first, name).run().answers
    first.site.write_text(f'{SITE}[node]\npublic-host = "10.0.0.1"\n[tls]\nself-signed = true\n')
    first.tls.mkdir(parents=True)
    (first.tls / "ca.pem").write_text("the authority\n")
    payload = gathering(first, name).run()
    assert payload.answers["tls.self-signed"] is True
    assert payload.answers["tls.ca"] == "/etc/backend.ai/cluster-ca.pem"
    assert payload.files["/etc/backend.ai/cluster-ca.pem"] == "the authority\n"
    assert not {"tls.certificate", "tls.key"} & set(payload.answers)
    assert parse_payload(json.loads(json.dumps(payload.as_table()))) == payload
    # A second storage node has an authority of its own, which this node trusts, too.
    (first.root / "etc/pki").mkdir()
    (first.root / "etc/pki/far.pem").write_text("another\n")
    first.site.write_text(first.site.read_text() + 'ca = "/etc/pki/far.pem"\n')
    files = gathering(first, name).run().files
    assert files == {"/etc/backend.ai/cluster-ca.pem": "the authority\nanother\n"}
    agent = gathering(first, "agent").run()
    assert not [name for name in agent.answers if name.startswith("tls.")]


def test_a_web_node_calls_the_manager_by_https_where_that_answers_so(first: Layout) -> None:
    text = SITE.replace('url = "http://10.0.0.1:8081"', "")
    first.site.write_text(f'{text}[node]\npublic-host = "10.0.0.1"\n[tls]\nself-signed = true\n')
    first.tls.mkdir(parents=True)
    (first.tls / "ca.pem").write_text("the authority\n")
    payload = Gathering(layout=first, role=load_role(first, "web"), host="10.0.0.1").run()
    assert payload.answers["manager.url"] == "https://10.0.0.1:8081"
