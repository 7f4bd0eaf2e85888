"""What the doctor says of registries that site.toml names."""

import pytest
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.layout import Layout
from backendai_ctl.doctor.checks.registries import check_registries
from backendai_ctl.registries.advise import take_registries
from backendai_ctl.registries.engine import is_let_in

from tests.unit.postinst.backendai_ctl.doctor.registry_sites import lines_of, login, site
from tests.unit.postinst.backendai_ctl.registries.hub import registry, serving
from tests.unit.postinst.host_views import host_view


def test_a_registry_that_lets_this_site_in_is_no_finding(layout: Layout) -> None:
    with serving("basic") as place:
        site(layout, f'url = "http://{place}"', 'type = "docker"', *login())
        assert lines_of(layout) == []


def test_a_wrong_password_is_an_error_and_not_shown(layout: Layout) -> None:
    with serving("basic") as place:
        site(layout, f'url = "http://{place}"', *login("of somebody else"))
        (found,) = list(check_registries(host_view(layout)))
    assert found.severity.word == "error"
    assert "refuses the user 'kim'" in found.what
    assert found.remedy.endswith("then: sudo backendai-ctl seed apply")
    assert "somebody" not in str(found)


def test_an_agent_needs_no_password(layout: Layout) -> None:
    (layout.recipes / "manager.toml").rename(layout.recipes / "agent.toml")
    with serving("basic") as place:
        site(layout, f'url = "http://{place}"')
        recipe = (layout.recipes / "agent.toml").read_text()
        (layout.recipes / "agent.toml").write_text(recipe.replace('"manager"', '"agent"'))
        assert lines_of(layout) == []


def test_one_that_is_away_is_a_note_where_nobody_asked_for_it(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    site(layout, 'url = "http://127.0.0.1:1"')
    assert [line.partition(":")[0] for line in lines_of(layout)] == ["warning"]

    def nobody(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr("socket.create_connection", nobody)
    layout.site.write_text("")
    assert [line.partition(":")[0] for line in lines_of(layout)] == ["note"]


def test_wrong_answers_are_found_without_asking(layout: Layout) -> None:
    site(layout, 'url = "https://hub.invalid/team"', 'ca = "/etc/backend.ai/none.pem"')
    url, authority = lines_of(layout)
    assert url.startswith("error: site.toml: registry.url: 'https://hub.invalid/team' has a path")
    assert authority == (
        "error: site.toml: registry.ca: /etc/backend.ai/none.pem: no such file or directory"
    )


def test_two_that_are_the_same_are_an_error(layout: Layout) -> None:
    site(layout, 'url = "http://h"', "[registry.b]", 'url = "http://h"')
    (line,) = lines_of(layout)
    assert "[registry.b] is h/stable, as [registry] is" in line


@pytest.mark.parametrize(
    ("url", "listed", "is_in"),
    [
        ("https://hub:5000", "[]", True),
        ("http://127.0.0.1:5000", "[]", True),
        ("http://[::1]:5000", "[]", True),
        ("http://localhost:5000", "[]", True),
        ("http://hub:5000", "[]", False),
        ("http://hub:5000", '["hub:5000"]', True),
        ("http://hub:5000", '["hub"]', False),
        ("http://10.0.0.5:5000", '["other:1", "10.0.0.0/8"]', True),
        ("http://[fd00::5]:5000", '["10.0.0.0/8"]', False),
        ("http://hub:5000", "3", False),
    ],
)
def test_docker_pulls_without_tls_where_it_was_told_to(
    layout: Layout, url: str, listed: str, is_in: bool
) -> None:
    path = layout.root / "etc/docker/daemon.json"
    path.parent.mkdir(parents=True)
    path.write_text(f'{{"insecure-registries": {listed}}}')
    assert is_let_in(layout, registry(url)) is is_in


def test_what_cannot_work_is_warned_of_when_a_service_is_configured(layout: Layout) -> None:
    lines: list[str] = []
    site(layout, 'url = "https://hub:5000"', 'name = "hub"', 'ca = "/none.pem"', *login("x"))
    take_registries(layout, load_site(layout), lines.append)
    begin = f"warning: {layout.site}: registry"
    assert [line.startswith(begin) for line in lines] == [True, True]
    assert "agents pull from hub" in lines[0]
    assert "/none.pem: no such file" in lines[1]
