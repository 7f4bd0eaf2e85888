"""What an admin, debconf or another node gives a host: an answer, or an error of ours."""

import gzip
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from backendai_ctl.answers.edits import read_preseed, set_answer
from backendai_ctl.answers.questions import load_questions
from backendai_ctl.answers.site import load_site, new_site, parse_site
from backendai_ctl.base.account import Owner
from backendai_ctl.base.environment import read_environment
from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.services.edit import edit_ini
from backendai_ctl.services.secrets_archive import unpack_secrets
from hypothesis import given, settings

from builder.base.paths import PROJECT
from tests.fuzz.mutate import mutate, nasty, seeds
from tests.helpers.package_files import Payload, make_tar

_SITE = """\
# ours
[account]
uid = 1100 # as on the volume

[etcd]
addresses = [ "10.0.0.1:2379",
              "[fd00::5]:2379" ]
namespace='site'

[redis]
password = "a b\u2028c\u0085d"
sentinels = []

[registry.lab]
url = "https://registry.example.org"
password = 'x'
"""
_PRESEED = """\
BACKENDAI_DATABASE_PASSWORD='it'\\''s a "secret"\u2028 of two'
BACKENDAI_ETCD_ADDRESSES='10.0.0.1:2379, 10.0.0.2:2379'
BACKENDAI_ACCOUNT_UID='1200'
"""
_SECRETS = (
    Payload(path="/manager-secret", content=b"abc\n"),
    Payload(path="/rpc.key_secret", content=b"x" * 200),
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """A host with the questions and nothing else."""
    layout = Layout(root=tmp_path_factory.mktemp("host"))
    for folder in (layout.questions.parent, layout.etc, layout.state, layout.preseed.parent):
        folder.mkdir(parents=True, exist_ok=True)
    layout.questions.write_bytes((PROJECT / "postinst/site/questions.toml").read_bytes())
    # Read once: nothing of it is what is tested here.
    questions = load_questions(layout)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("site", "edits"):
            patch.setattr(
                f"backendai_ctl.answers.{module}.load_questions", lambda _layout: questions
            )
        yield layout


@given(chance=seeds())
def test_site_toml(host: Layout, chance: Random) -> None:
    host.site.write_bytes(mutate(_SITE.encode(), chance))
    with suppress(TargetError):
        load_site(host)


@given(chance=seeds())
def test_site_set(host: Layout, chance: Random) -> None:
    questions = load_questions(host).with_labels("registry", ["lab", "new"])
    question = chance.choice(questions.all)
    text = chance.choice([nasty(chance), mutate(str(question.default).encode(), chance)])
    host.site.write_text(_SITE, encoding="utf-8")
    value = text.decode("utf-8", "surrogateescape")
    try:
        set_answer(host, Writer(owner=Owner.caller()), question.name, value, {})
    except TargetError:
        assert host.site.read_text(encoding="utf-8") == _SITE
        return
    # Nothing but that answer has changed, by another reader of TOML.
    after = tomllib.loads(host.site.read_bytes().decode("utf-8"))
    before = tomllib.loads(_SITE)
    for table in (before, after):
        below = table
        for part in question.section.split("."):
            below = below.setdefault(part, {})
        below.pop(question.key, None)
        if question.section == "registry.new":
            table["registry"].pop("new")
    assert _filled(after) == _filled(before)


def _filled(table: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in table.items() if value}


@given(chance=seeds())
@settings(max_examples=max(settings().max_examples // 4, 1))
def test_debconf_answers(host: Layout, chance: Random) -> None:
    host.site.unlink(missing_ok=True)
    host.preseed.write_bytes(mutate(_PRESEED.encode(), chance, most=3))
    with suppress(TargetError):
        text = new_site(host, read_preseed(host))
        tomllib.loads(text)
        parse_site(host, text)


@given(chance=seeds())
def test_secrets_import(chance: Random) -> None:
    tar = mutate(make_tar(_SECRETS), chance) if chance.random() < 0.7 else make_tar(_SECRETS)
    if chance.random() < 0.5:
        tar = gzip.compress(tar, 1)
        tar = mutate(tar, chance) if chance.random() < 0.7 else tar
    with suppress(TargetError):
        for name in unpack_secrets(tar):
            assert "/" not in name
            assert len(name) <= 255


@given(chance=seeds())
def test_environment_files(host: Layout, chance: Random) -> None:
    data = mutate(b"# head\nPGSSLMODE=require\nPGSSLROOTCERT=/etc/x\n", chance)
    (host.etc / "manager.env").write_bytes(data)
    for name, value in read_environment(host, "manager").items():
        line = f"{name}={value}".encode("utf-8", "surrogateescape")
        assert line in data.split(b"\n")


@given(chance=seeds())
def test_ini_files(chance: Random) -> None:
    data = mutate(b"[alembic]\nscript_location = a\nsqlalchemy.url = b\n\n[x]\ny = 1\n", chance)
    text = data.decode("utf-8", "surrogateescape")
    made = edit_ini(text, {"alembic.sqlalchemy.url": "c%d"})
    assert "\nsqlalchemy.url = c%%d\n" in made
    kept = [line for line in text.split("\n") if not line.startswith("sqlalchemy.url")]
    assert all(line in made.split("\n") for line in kept)


def test_what_is_right_is_read(host: Layout, tmp_path: Path) -> None:
    host.site.write_text(_SITE, encoding="utf-8")
    assert load_site(host)["redis.password"] == "a b\u2028c\u0085d"
    host.site.unlink()
    host.preseed.write_text(_PRESEED, encoding="utf-8")
    found = read_preseed(host)
    assert found["BACKENDAI_DATABASE_PASSWORD"] == 'it\'s a "secret"\u2028 of two'
    assert parse_site(host, new_site(host, found))["account.uid"] == 1200
    assert unpack_secrets(make_tar(_SECRETS))["manager-secret"] == "abc\n"
