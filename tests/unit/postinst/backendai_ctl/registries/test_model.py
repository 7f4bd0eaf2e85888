"""Registries of site.toml: which they are, and answers that cannot work."""

import re

import pytest
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.errors import SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.registries.model import Registry, problems_of, registries_of

from tests.unit.postinst.backendai_ctl.registries.hub import registry


@pytest.mark.parametrize(
    "given",
    [
        registry(),
        registry("https://hub.example.org:443", "hub.example.org"),
        registry("http://10.0.0.5:5000"),
        registry("https://[fd00::5]:5000", user="kim", password="pässwort"),
        registry("http://localhost", "local", type="local", projects=""),
    ],
)
def test_what_can_work_has_no_problem(given: Registry) -> None:
    assert list(problems_of(given)) == []


@pytest.mark.parametrize(
    ("given", "key", "reason"),
    [
        (registry("https://hub.example.org/team"), "url", "has a path"),
        (registry("https://hub.example.org:99999"), "url", "the port is not a number"),
        (registry("https://hub.example.org:5000", "hub.example.org"), "name", "agents pull from"),
        (registry("https://registry-1.docker.io", "index.docker.io"), "url", "Docker Hub"),
        (registry(projects=""), "projects", "is empty"),
        (registry(user="kim"), "password", "is empty, and the user is 'kim'"),
        (registry(password="x"), "user", "is empty, and there is a password"),
        (registry(user="kim", password="пароль"), "password", "beyond Latin-1"),
        (registry("http://hub.example.org", ca="/ca.pem"), "ca", "has no TLS"),
        (registry("http://localhost", "mine", type="local"), "name", "is called 'local'"),
    ],
)
def test_what_cannot_work_is_told_by_its_answer(given: Registry, key: str, reason: str) -> None:
    ((found, text),) = problems_of(given)
    assert found == key
    assert reason in text
    assert "пароль" not in text


def test_one_host_may_have_an_account_for_each_project(layout: Layout) -> None:
    layout.site.write_text(
        '[registry]\nurl = "https://h"\nprojects = "one"\nuser = "robot-one"\n'
        '[registry.two]\nurl = "https://h"\nprojects = "two"\nuser = "robot-two"\n'
    )
    assert [found.user for found in registries_of(load_site(layout))] == ["robot-one", "robot-two"]


def test_two_registries_are_not_the_same(layout: Layout) -> None:
    layout.site.write_text(
        '[registry]\nurl = "https://h"\nprojects = "one"\n'
        '[registry.again]\nurl = "https://h"\nprojects = "two,one"\n'
    )
    with pytest.raises(SiteError, match=re.escape("[registry.again] is h/one, as [registry] is")):
        registries_of(load_site(layout))
