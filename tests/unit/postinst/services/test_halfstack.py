"""The halfstack: where it listens, what it refuses, and its script against fake tools."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest
from backendai_ctl.answers.resolve import Answers
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.errors import RecipeError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.services.follow_answers import Follower
from backendai_ctl.services.recipe import load_recipe

from builder.base.paths import PROJECT
from tests.unit.postinst.conftest import install_recipe

Configured = Callable[..., list[str]]


@pytest.fixture
def halfstack(layout: Layout) -> Layout:
    """A target with the halfstack, the manager and the coordinator."""
    for service in ("halfstack", "appproxy-coordinator"):
        install_recipe(layout, service)
    source = PROJECT / "postinst/services/halfstack"
    shutil.copytree(source, layout.shipped / "halfstack", dirs_exist_ok=True)
    layout.suggestions.mkdir()
    suggestions = PROJECT / "postinst/services/halfstack/suggestions.toml"
    shutil.copy(suggestions, layout.suggestions / "halfstack.toml")
    return layout


def values(layout: Layout) -> list[str]:
    """Every quoted string of the compose file, as YAML reads it."""
    text = (layout.etc / "halfstack.yml").read_text()
    return [
        json.loads(found)
        for found in re.findall(r'^ *(?:- |\w+: )("(?:[^"\\]|\\.)*")$', text, re.MULTILINE)
    ]


def test_a_new_site_begins_where_the_guide_has_the_halfstack(
    halfstack: Layout, configured: Configured
) -> None:
    configured("halfstack")
    found = values(halfstack)
    assert {"127.0.0.1:8100:5432", "127.0.0.1:8110:6379", "127.0.0.1:8120:2379"} <= set(found)
    assert "--advertise-client-urls=http://127.0.0.1:8120" in found
    # The environment of a container can be read by others: its password is in a file.
    password = halfstack.secrets / "halfstack-postgres-password"
    text = (halfstack.etc / "halfstack.yml").read_text()
    assert "/secrets/halfstack-postgres-password:/run/password:ro\n" in text
    assert password.read_text().strip() not in text
    site = load_site(halfstack)
    # Both ask who is there from the beginning, with passwords that are this host's own.
    assert site["etcd.user"] == "backendai"
    assert len({site["redis.password"], site["etcd.password"]}) == 2
    assert min(len(str(site[f"{store}.password"])) for store in ("redis", "etcd")) >= 40
    redis = (halfstack.etc / "halfstack-redis.conf").read_text()
    assert f'requirepass "{site["redis.password"]}"' in redis
    assert '"endpoint", "health"' not in text  # fails where etcd asks for a user
    for name in ("halfstack.yml", "halfstack-redis.conf"):
        assert (halfstack.etc / name).stat().st_mode & 0o777 == 0o640
    # Another service on the same host agrees without any setting.
    configured("manager")
    assert "port = 8100" in (halfstack.etc / "manager.toml").read_text()


def test_it_listens_where_an_existing_site_says(halfstack: Layout, configured: Configured) -> None:
    halfstack.site.write_text('[redis]\npassword = "a\\"b$c\\\\d"\n')
    configured("halfstack")
    found = values(halfstack)
    assert {"127.0.0.1:5432:5432", "127.0.0.1:6379:6379", "127.0.0.1:2379:2379"} <= set(found)
    assert 'requirepass "a\\"b$c\\\\d"\n' in (halfstack.etc / "halfstack-redis.conf").read_text()


def test_the_environment_wins_over_suggestions(halfstack: Layout, configured: Configured) -> None:
    configured("halfstack", BACKENDAI_DATABASE_ADDRESS="127.0.0.1:5999")
    assert "127.0.0.1:5999:5432" in values(halfstack)


def test_stores_that_are_elsewhere_are_refused(halfstack: Layout, configured: Configured) -> None:
    halfstack.site.write_text(
        '[database]\naddress = "10.0.0.5:5432"\n'
        'tls = "require"\n'
        '[redis]\nsentinels = ["127.0.0.1:26379"]\n'
        '[etcd]\naddresses = ["127.0.0.1:2379", "127.0.0.1:2380"]\nuser = "root"\n'
    )
    with pytest.raises(SiteError) as caught:
        configured("halfstack")
    alone = "with backendai-halfstack, which serves this node alone"
    alone_too = "Valkey is one without Sentinels"
    with_it = "with backendai-halfstack, whose"
    members = "['127.0.0.1:2379', '127.0.0.1:2380']"
    assert [line.partition(": ")[2] for line in caught.value.problems] == [
        f"database.address = '10.0.0.5:5432': must be 127.0.0.1:PORT {alone}",
        f'etcd.addresses = {members}: must be ["127.0.0.1:PORT"] {alone}',
        f"database.tls = 'require': must be prefer {with_it} PostgreSQL is on loopback without TLS",
        f"redis.sentinels = ['127.0.0.1:26379']: must be empty {with_it} {alone_too}",
    ]
    assert not (halfstack.etc / "halfstack.yml").exists()


def test_its_sql_is_that_of_the_services(halfstack: Layout) -> None:
    own = load_recipe(halfstack, "halfstack").sql
    for service in ("manager", "appproxy-coordinator"):
        assert load_recipe(halfstack, service).sql.strip() in own, service


def test_a_template_follows_the_answers_that_it_names(
    halfstack: Layout, store: SecretStore, configured: Configured
) -> None:
    configured("halfstack")
    path = halfstack.etc / "halfstack-redis.conf"
    before = (halfstack.etc / "halfstack.yml").read_text()
    said = {"redis.password": "of a new site"}
    answers = Answers(site=load_site(halfstack), secrets=store, overrides=said)
    names = ("etcd.user", "redis.password")
    follower = Follower(layout=halfstack, answers=answers, names=names, writer=store.writer)
    assert "halfstack" in follower.run()
    assert 'requirepass "of a new site"' in path.read_text()
    assert (halfstack.etc / "halfstack.yml").read_text() == before
    assert follower.run() == []
    path.write_text(f"{path.read_text()}# edited\n")
    other = replace(answers, overrides={"redis.password": "another"})
    assert "halfstack" not in replace(follower, answers=other).run()


@pytest.mark.parametrize(
    ("template", "reason"),
    [("a: {port}\n", "asks for"), ("a: {database.address!yaml}\n", "quotes by 'yaml'")],
)
def test_a_template_that_cannot_be_filled_is_the_packages_fault(
    halfstack: Layout, store: SecretStore, template: str, reason: str
) -> None:
    answers = Answers(site=load_site(halfstack), secrets=store)
    with pytest.raises(RecipeError, match=reason):
        answers.fill(template)


def test_a_string_of_a_compose_file_means_itself(halfstack: Layout, store: SecretStore) -> None:
    said = {"redis.password": 'say "$HOME"'}
    answers = Answers(site=load_site(halfstack), secrets=store, overrides=said)
    filled = answers.fill('a: "{redis.password!compose}"\n')
    assert filled == 'a: "say \\"$$HOME\\""\n'
