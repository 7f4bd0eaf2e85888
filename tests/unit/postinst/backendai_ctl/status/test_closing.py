"""The last words of an installation, on every kind of host."""

from collections.abc import Callable, Mapping

import pytest
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.state import Report, save_report
from backendai_ctl.status import closing as module
from backendai_ctl.status.closing import Start, closing
from backendai_ctl.status.outlook import predict
from backendai_ctl.status.report import inspect_node

from tests.unit.postinst.host_views import RUNNING, STOPPED, Programs, host_view

Configured = Callable[..., list[str]]
STARTING = {**RUNNING, "ActiveState": "activating"}
SEEDING = {"backendai-seed.service": {"LoadState": "loaded", "ActiveState": "activating"}}


@pytest.fixture(autouse=True)
def _address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_outward_address", lambda: "192.0.2.10")


def last_words(
    layout: Layout, states: Mapping[str, Mapping[str, str]], start: Start | None = None
) -> list[str]:
    """The lines, where these units are in these states."""
    programs = Programs()
    programs.says("dpkg-query", "backendai-manager 26.9.6-1 installed\n")
    units = {f"backendai-{name}": state for name, state in states.items()}
    host = host_view(layout, units={**units, **SEEDING}, programs=programs)
    node = inspect_node(host)
    return closing(host, node, predict(host, node), start or Start()).splitlines()


def test_a_single_node(services: Layout, configured: Configured) -> None:
    for service in ("manager", "webserver"):
        configured(service)
    for recipe in services.recipes.iterdir():
        if recipe.stem not in ("manager", "webserver"):
            recipe.unlink()
    states = {"manager.service": STARTING, "webserver.service": STARTING}
    assert last_words(services, states) == [
        "",
        "Backend.AI 26.9.6-1 on this node",
        "  starting by itself: manager, webserver",
        "  Web UI           http://192.0.2.10:8090/",
        "  login            sudo backendai-ctl credentials --show   (once the stores are filled)",
        "  until all is up  sudo backendai-ctl status --wait",
    ]
    folder = services.state / "credentials"
    folder.mkdir()
    (folder / "manager.toml").touch()
    assert "  login            sudo backendai-ctl credentials --show" in last_words(
        services, states
    )


def test_the_web_ui_has_the_name_that_users_know(services: Layout, configured: Configured) -> None:
    services.site.write_text('[node]\npublic-host = "ai.example.com"\n')
    configured("webserver")
    lines = last_words(services, {"webserver.service": RUNNING})
    assert "  Web UI           http://ai.example.com:8090/" in lines


def test_a_store_is_unreachable(layout: Layout, configured: Configured) -> None:
    configured()
    folder = layout.state / "seed/waiting"
    folder.mkdir(parents=True)
    (folder / "manager").touch()
    lines = last_words(layout, {"manager.service": STOPPED})
    assert lines[2].startswith("  waiting, and starting by itself then: manager: nothing answers")
    assert lines[3] == "    by hand: sudo backendai-ctl steps manager"


def test_what_is_stuck_has_a_remedy(layout: Layout) -> None:
    lines = last_words(layout, {"manager.service": STOPPED})
    assert lines[2:4] == [
        "  NOT started: manager: its configuration is missing",
        "    sudo backendai-ctl configure manager",
    ]


def test_a_node_with_only_an_agent(node: Layout) -> None:
    (node.recipes / "storage-proxy.toml").unlink()
    (node.state / "seed").mkdir(parents=True)
    save_report(node, Report(complete=True, results=[]))
    lines = last_words(node, {"agent.service": STARTING})
    assert lines[2:] == [
        "  starting by itself: agent",
        "  until all is up  sudo backendai-ctl status --wait",
    ]


@pytest.mark.parametrize("word", ["disabled", "masked"])
def test_what_the_admin_turned_off_is_left_alone(
    services: Layout, configured: Configured, word: str
) -> None:
    configured("webserver")
    for recipe in services.recipes.iterdir():
        if recipe.stem != "webserver":
            recipe.unlink()
    lines = last_words(services, {"webserver.service": {**STOPPED, "UnitFileState": word}})
    assert lines[2] == f"  left alone: webserver ({word})"
    assert not any("Web UI" in line for line in lines)


def test_without_systemd_nothing_is_said_to_start_now(layout: Layout) -> None:
    lines = last_words(layout, {}, Start(has_systemd=False))
    assert "no systemd runs here" in lines[2]
    assert "first boot" in lines[3]
    assert lines[3].endswith("manager")
    assert not any("--wait" in line for line in lines)


def test_where_the_host_forbids_starts(layout: Layout) -> None:
    lines = last_words(layout, {"manager.service": STOPPED}, Start(is_allowed=False))
    assert "policy-rc.d" in lines[2]
    assert "systemctl start backendai.target" in lines[3]


def test_without_services_there_is_nothing_to_say(layout: Layout) -> None:
    for recipe in layout.recipes.iterdir():
        recipe.unlink()
    assert last_words(layout, {}) == []
