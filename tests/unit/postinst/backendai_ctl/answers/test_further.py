"""Sections that may be given several times: [registry] and [registry.LABEL]."""

import io
import platform
import re

import pytest
from backendai_ctl.answers.edits import get_answer, set_answer
from backendai_ctl.answers.site import load_site, new_site
from backendai_ctl.base.errors import SiteError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.cli import main
from backendai_ctl.registries.model import registries_of

from tests.unit.postinst.conftest import caller

SITE = """\
[registry] # ours
url = "https://hub.example.org:5000"
projects = "stable"

[registry.lab]
url = "https://lab.example.org"
user = "reader"
password = "p@ss"
ca = "/etc/backend.ai/lab.pem"
"""


def change(layout: Layout, name: str, value: str) -> bool:
    """Set one answer as whoever runs the tests."""
    return set_answer(layout, Writer(owner=caller()), name, value, {})


def test_each_registry_has_its_own_answers_and_defaults(layout: Layout) -> None:
    layout.site.write_text(SITE)
    main, lab = registries_of(load_site(layout))
    assert (main.name, main.type, main.projects, main.user) == (
        "hub.example.org:5000",
        "harbor2",
        ("stable",),
        "",
    )
    assert (lab.section, lab.name, lab.type) == ("registry.lab", "lab.example.org", "docker")
    assert (lab.user, lab.password, lab.ca) == ("reader", "p@ss", "/etc/backend.ai/lab.pem")
    assert "p@ss" not in repr(lab)


@pytest.mark.parametrize(
    ("machine", "text", "projects"),
    [
        ("x86_64", "", ("stable", "community")),
        ("aarch64", "", ("stable", "community", "multiarch")),
        ("aarch64", '[registry]\nprojects = "stable,ours"\n', ("stable", "ours")),
    ],
)
def test_the_default_of_projects_is_the_architectures_own(
    layout: Layout,
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    text: str,
    projects: tuple[str, ...],
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    layout.site.write_text(text)
    (registry,) = registries_of(load_site(layout))
    assert registry.projects == projects
    assert get_answer(layout, "registry.projects") == ",".join(projects)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[registry.lab]\n", 'registry.lab.url = "": must be a URL'),
        (
            '[registry.lab]\nurl = "https://a"\npasword = "x"\n',
            "[registry.lab] has no key 'pasword' (did you mean 'password'?)",
        ),
        ('[registry.Lab]\nurl = "https://a"\n', "[registry] has no key 'Lab'"),
        ('[registry.url]\nurl = "https://a"\n', "registry.url = "),
        ('[manager.lab]\nurl = "https://a"\n', "[manager] has no key 'lab'"),
        ('[registry]\nname = "a.example.org/team"\n', "must be HOST or HOST:PORT"),
        ('[registry]\ntype = "harbour"\n', "must be one of docker, harbor, harbor2"),
        ('[registry]\nuser = "a:b"\n', "must be one line of text without a colon"),
        ('[registry.lab]\nurl = "https://a"\npassword = "a\\nb"\n', "password = (not shown)"),
    ],
)
def test_a_wrong_answer_is_named(layout: Layout, text: str, message: str) -> None:
    layout.site.write_text(text)
    with pytest.raises(SiteError, match=re.escape(message)):
        load_site(layout)


def test_variables_answer_further_sections_too(layout: Layout) -> None:
    text = new_site(
        layout,
        {
            "BACKENDAI_REGISTRY_URL": "https://main.example.org",
            "BACKENDAI_REGISTRY_LAB_TWO_URL": "https://[fd00::5]:5000",
            "BACKENDAI_REGISTRY_LAB_TWO_PASSWORD": "secret",
        },
    )
    layout.site.write_text(text)
    main, lab = registries_of(load_site(layout))
    assert main.name == "main.example.org"
    assert (lab.section, lab.name, lab.password) == ("registry.lab-two", "[fd00::5]:5000", "secret")


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("BACKENDAI_REGISTRY_PASWORD", "unknown variable BACKENDAI_REGISTRY_PASWORD"),
        ("BACKENDAI_REGISTRY__URL", "unknown variable BACKENDAI_REGISTRY__URL"),
        ("BACKENDAI_REGISTRY_LAB_USER", 'BACKENDAI_REGISTRY_LAB_URL = "": must be a URL'),
    ],
)
def test_a_wrong_variable_is_named(layout: Layout, variable: str, message: str) -> None:
    with pytest.raises(SiteError, match=re.escape(message)):
        new_site(layout, {variable: "x"})


def test_single_answers_of_a_further_section_are_read_and_changed(layout: Layout) -> None:
    layout.site.write_text(SITE)
    assert get_answer(layout, "registry.name") == "hub.example.org:5000"
    assert get_answer(layout, "registry.lab.user") == "reader"
    assert change(layout, "registry.lab.user", "writer")
    assert not change(layout, "registry.lab.user", "writer")
    assert layout.site.read_text() == SITE.replace('"reader"', '"writer"')
    with pytest.raises(SiteError, match=r"no answer called 'registry\.other\.user'"):
        get_answer(layout, "registry.other.user")


def test_a_further_section_begins_with_its_url(layout: Layout) -> None:
    layout.site.write_text('[registry]\nprojects = "stable"\n[seed]\nwait = 5\n')
    with pytest.raises(SiteError, match=r"registry\.new\.url"):
        change(layout, "registry.new.user", "reader")
    assert change(layout, "registry.new.url", "http://10.0.0.5:5000")
    assert change(layout, "registry.new.user", "reader")
    assert get_answer(layout, "registry.new.name") == "10.0.0.5:5000"
    assert get_answer(layout, "seed.wait") == "5"


def test_a_file_of_before_means_what_it_meant(layout: Layout) -> None:
    layout.site.write_text(
        '[registry]\nname = "cr.backend.ai"\nurl = "https://cr.backend.ai"\n'
        'type = "harbor2"\nprojects = "stable,community"\n'
    )
    (known,) = registries_of(load_site(layout))
    layout.site.unlink()
    (fresh,) = registries_of(load_site(layout))
    assert known == fresh
    assert known.is_default


def test_a_password_is_taken_from_stdin_alone(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layout.site.write_text(SITE)
    command = ["--root", str(layout.root), "--as-caller", "site", "set", "registry.lab.password"]
    assert main([*command, "in the open"]) != 0
    text = capsys.readouterr().err
    assert "in the open" not in text
    assert "backendai-ctl site set registry.lab.password -" in text
    monkeypatch.setattr("sys.stdin", io.StringIO("by a pipe\n"))
    assert main([*command, "-"]) == 0
    text = capsys.readouterr().err
    assert "seed apply" in text
    assert "by a pipe" not in text
    assert get_answer(layout, "registry.lab.password") == "by a pipe"
