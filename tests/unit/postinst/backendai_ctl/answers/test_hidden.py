"""What must not be shown is a flag of its question, and no message shows it."""

import re
import shutil
from pathlib import Path

import pytest
from backendai_ctl.answers.edits import set_answer
from backendai_ctl.answers.questions import load_questions
from backendai_ctl.answers.resolve import Answers
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import load_site, new_site, parse_site
from backendai_ctl.base.errors import SiteError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.redact import hide, redact_urls
from backendai_ctl.services.recipe import load_recipe
from backendai_ctl.services.release_validation import hidden_settings

from builder.base.paths import PROJECT
from tests.unit.postinst.conftest import caller

_LOOKS_SECRET = re.compile("password|secret|token|passphrase|credential")
_SERVICES = ("manager", "webserver", "storage-proxy", "appproxy-coordinator")
_SECRETS = (
    "etcd.password",
    "database.password",
    "redis.password",
    "redis.sentinel-password",
    "registry.password",
    "appproxy.database-password",
)
_BY_CONTENT = {"storage.options"}  # a password among others


def _hidden_names(layout: Layout) -> set[str]:
    return {question.name for question in load_questions(layout).all if question.is_secret}


def test_every_password_has_the_flag(layout: Layout) -> None:
    questions = load_questions(layout)
    assert set(_SECRETS) <= _hidden_names(layout)
    assert {
        question.name for question in questions.all if _LOOKS_SECRET.search(question.key)
    } | _BY_CONTENT == _hidden_names(layout)
    assert all(question.hidden for question in questions.all if question.is_secret)


def test_the_flag_counts_and_not_the_name(layout: Layout) -> None:
    text = layout.questions.read_text()
    layout.questions.unlink()
    layout.questions.write_text(
        text.replace('key = "namespace"', 'key = "namespace"\nhidden = true')
    )
    with pytest.raises(SiteError, match=r"etcd\.namespace = \(not shown\): must be"):
        parse_site(layout, '[etcd]\nnamespace = "a b"\n')
    layout.questions.write_text(text.replace("hidden = true\n", ""))
    assert "etcd.password" not in _hidden_names(layout)


@pytest.mark.parametrize("name", [*_SECRETS, "registry.lab.password"])
def test_a_wrong_secret_is_not_repeated(layout: Layout, name: str) -> None:
    section, _, key = name.rpartition(".")
    needed = 'url = "https://a"\n' if section == "registry.lab" else ""
    for value in ('"hunter2\\n"', "['hunter2']", "{ a = 'hunter2' }"):
        with pytest.raises(SiteError) as caught:
            parse_site(layout, f"[{section}]\n{needed}{key} = {value}\n")
        assert "(not shown)" in str(caught.value)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(SiteError, match="not shown") as caught:
        set_answer(layout, Writer(owner=caller()), name, "hunter2\n", {})
    assert "hunter2" not in str(caught.value)
    if "lab" not in name:
        variable = load_questions(layout).named(name)
        assert variable is not None
        with pytest.raises(SiteError, match="not shown") as caught:
            new_site(layout, {variable.variable: "hunter2\n"})
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://:hunter2@host",
        "https://hunter2@host/x",
        "https://user:hunter2@host/x y",
        "https://user:hun@ter2@host",
        "https://host/?token=hunter2",
        "https://host/?a=b&access_token=hunter2#x",
        "https://host/;X-Amz-Signature=hunter2",
    ],
)
def test_a_secret_in_a_url_that_is_refused_is_not_repeated(layout: Layout, url: str) -> None:
    with pytest.raises(SiteError) as caught:
        parse_site(layout, f'[graphql]\nurl = "{url}"\n')
    assert "hunter2" not in str(caught.value)
    assert "ter2" not in str(caught.value)
    assert "host" in str(caught.value)
    with pytest.raises(SiteError) as caught:
        set_answer(layout, Writer(owner=caller()), "graphql.url", url, {})
    assert "ter2" not in str(caught.value)


def test_other_urls_and_texts_are_shown_as_they_are() -> None:
    for text in (
        "https://[fd00::5]:8080/a?page=2",
        "someone@example.org",
        "http://127.0.0.1:8090",
        "postgresql+asyncpg://host:5432/name",
    ):
        assert redact_urls(text) == text


def test_the_longest_secret_is_hidden_first() -> None:
    assert hide("x abcdefgh y abcd", ["abcd", "abcdefgh", "x", ""]) == "x (not shown) y (not shown)"


def test_settings_that_come_from_a_secret_are_known_by_their_recipe(layout: Layout) -> None:
    questions = load_questions(layout)
    for service in _SERVICES:
        shutil.copy(
            PROJECT / f"postinst/services/{service}/recipe.toml",
            layout.recipes / f"{service}.toml",
        )
    found = {
        config.file: set(hidden_settings(config, questions))
        for service in _SERVICES
        for config in load_recipe(layout, service).configs
    }
    assert {"db.password", "etcd.password", "manager.secret"} <= found["manager.toml"]
    assert "session.redis.sentinel_password" in found["webserver.conf"]
    assert "api.manager.secret" in found["storage-proxy.toml"]
    assert not any("addr" in name for names in found.values() for name in names)
    assert "alembic.sqlalchemy.url" in found["alembic.ini"]


def test_what_a_program_prints_is_searched_for_every_secret(layout: Layout, tmp_path: Path) -> None:
    layout.site.write_text('[redis]\nsentinel-password = "sesame"\n[etcd]\npassword = "friend"\n')
    secrets = SecretStore(folder=tmp_path / "secrets", writer=Writer(owner=caller()))
    (tmp_path / "secrets").mkdir()
    made = secrets.secret("manager-secret")
    (tmp_path / "secrets/rpc.key_secret").write_text("a whole file")
    hidden = Answers(site=load_site(layout), secrets=secrets).hidden()
    assert {"sesame", "friend", made} <= set(hidden)
    assert "a whole file" not in hidden
    assert hide(f"AUTH sesame {made}", hidden) == "AUTH (not shown) (not shown)"
    # Looking makes no secret.
    assert len(list((tmp_path / "secrets").iterdir())) == 2
