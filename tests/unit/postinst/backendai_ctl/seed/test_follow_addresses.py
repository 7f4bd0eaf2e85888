"""Addresses of this node in the stores follow site.toml; those that an admin wrote stay."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

from backendai_ctl.answers.resolve import Answers
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.follow_addresses import AddressFollower
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.services.recipe import load_recipe
from backendai_ctl.stores.etcd import Etcd

from builder.base.paths import PROJECT

NAMES = ("manager.url", "storage-proxy.client-url", "appproxy.url")
KEY = "volumes/proxies/local/client_api"
PLAIN, HTTPS = "http://node.example.com:6021", "https://node.example.com:6021"
NODE = '[node]\npublic-host = "node.example.com"\n'
BY_TLS = f"{NODE}[tls]\nself-signed = true\n"


@dataclass
class Kept:
    """etcd, as far as it is asked."""

    values: dict[str, str]
    written: dict[str, str] = field(default_factory=dict)

    def get(self, key: str) -> str | None:
        """The value of a key."""
        return self.values.get(key)

    def put(self, key: str, value: str) -> None:
        """Change a key."""
        self.values[key] = self.written[key] = value


@dataclass
class Groups:
    """The table of resource groups, by one statement each."""

    addresses: list[str]

    def has_table(self, name: str) -> bool:
        """Whether there is such a table."""
        return name == "scaling_groups"

    def value(self, statement: str, former: list[str]) -> int:
        """How many have one of these addresses."""
        assert "count(*)" in statement
        return sum(address in former for address in self.addresses)

    def execute(self, *statements: tuple[str, Sequence[object]]) -> None:
        """Replace addresses."""
        ((statement, (former, wanted)),) = statements
        assert "= $2 WHERE" in statement
        assert isinstance(former, list)
        self.addresses = [str(wanted) if text in former else text for text in self.addresses]


def follower(layout: Layout, store: SecretStore, text: str) -> AddressFollower:
    """By a site.toml of ``text``."""
    layout.secrets.mkdir(parents=True, exist_ok=True)
    layout.site.write_text(text)
    return AddressFollower(answers=Answers(site=load_site(layout), secrets=store), names=NAMES)


def follow_etcd(layout: Layout, store: SecretStore, text: str, present: str) -> Kept:
    """Run on an etcd that has ``present`` for the address of transfers."""
    kept = Kept({KEY: present, "volumes/proxies/local/manager_api": "http://127.0.0.1:6022"})
    tree = load_recipe(layout, "storage-proxy").etcd
    follower(layout, store, text).follow_etcd(cast("Etcd", kept), [tree])
    return kept


def test_transfers_become_https(services: Layout, store: SecretStore) -> None:
    for present in (PLAIN, "http://127.0.0.1:6021"):
        kept = follow_etcd(services, store, BY_TLS, present)
        assert kept.written == {KEY: HTTPS}


def test_and_plain_again(services: Layout, store: SecretStore) -> None:
    assert follow_etcd(services, store, NODE, HTTPS).written == {KEY: PLAIN}


def test_what_is_so_already_or_an_admins_stays(services: Layout, store: SecretStore) -> None:
    for present in (HTTPS, "http://files.example.com:6021", "http://node.example.com:7021"):
        assert follow_etcd(services, store, BY_TLS, present).written == {}


def test_resource_groups_follow(services: Layout, store: SecretStore) -> None:
    text = (PROJECT / "postinst/services/manager/seed.toml").read_text()
    (to,) = (line["proxied"]["to"] for line in tomllib.loads(text)["line"] if "proxied" in line)
    proxied = SimpleNamespace(table="scaling_groups", address="wsproxy_addr", to=to)
    groups = Groups(["http://127.0.0.1:10200", "http://proxy.example.com", ""])
    database = SimpleNamespace(profile=SimpleNamespace(proxied=proxied), connection=groups)
    run = follower(services, store, BY_TLS)
    https = "https://node.example.com:10200"
    changed = [f"scaling_groups: wsproxy_addr = {https}"]
    assert run.follow_groups(cast("SeededDatabase", database)) == changed
    assert groups.addresses == [https, "http://proxy.example.com", ""]
    assert run.follow_groups(cast("SeededDatabase", database)) == []
