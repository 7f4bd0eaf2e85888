"""`backendai-ctl status` and `doctor` as a person, a machine and a script see them."""

import json
import os
import socket
import tomllib
from collections.abc import Callable, Iterator

import pytest
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands import doctor
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import error, note, warning
from backendai_ctl.status.report import inspect_node, render
from backendai_ctl.stores.remedies import StoreKind, find_remedy

from builder.base.paths import PROJECT
from tests.unit.postinst.backendai_ctl.status.tool import run
from tests.unit.postinst.host_views import RUNNING, STOPPED, Programs, host_view

Configured = Callable[..., list[str]]
MANAGER = "backendai-manager.service"


@pytest.fixture
def port(layout: Layout, configured: Configured) -> Iterator[int]:
    """Where a manager, which is configured as made, answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = int(server.getsockname()[1])
        layout.site.write_text(f'[manager]\naddress = "127.0.0.1:{found}"\n')
        configured()
        yield found


def programs() -> Programs:
    """dpkg, which has the manager's package."""
    found = Programs()
    found.says("dpkg-query", "backendai-manager 26.9.6-1 installed\n")
    return found


def here(layout: Layout, state: dict[str, str]) -> HostView:
    """A host with the manager's unit in that state."""
    since = {"StateChangeTimestamp": "Mon 2026-11-23 20:01:59 UTC"}
    return host_view(layout, units={MANAGER: {**state, **since}}, programs=programs())


def test_all_is_up(layout: Layout, port: int) -> None:
    node = inspect_node(here(layout, RUNNING))
    (service,) = node.services
    assert (service.version, service.address, service.config) == (
        "26.9.6-1",
        f"127.0.0.1:{port}",
        "made",
    )
    assert node.is_up
    # A host's own paths begin at /, and not where this test lies.
    lines = render(node).replace(str(layout.root), "").splitlines()
    assert lines[1].split() == [
        *("manager", "26.9.6-1", "active", "2026-11-23", "20:01", "answers", "made"),
    ]
    assert lines[-1] == "up: 1 of 1 services, all that are enabled"
    assert max(map(len, lines)) <= 80


@pytest.mark.usefixtures("port")
@pytest.mark.parametrize(
    ("state", "is_up", "verdict"),
    [
        (STOPPED, False, "down: manager"),
        ({**RUNNING, "ActiveState": "failed"}, False, "down: manager"),
        ({**RUNNING, "ActiveState": "activating"}, False, "starting: manager"),
        ({**STOPPED, "UnitFileState": "disabled"}, True, "no service is enabled"),
    ],
)
def test_the_verdict(layout: Layout, state: dict[str, str], *, is_up: bool, verdict: str) -> None:
    node = inspect_node(here(layout, state))
    assert node.is_up is is_up
    assert node.verdict.startswith(verdict)
    assert node.as_table()["verdict"] == node.verdict


def test_running_and_silent_is_down(layout: Layout, configured: Configured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    layout.site.write_text(f'[manager]\naddress = "127.0.0.1:{free}"\n')
    configured()
    assert not inspect_node(here(layout, RUNNING)).is_up
    assert "silent" in render(inspect_node(here(layout, RUNNING)))


@pytest.mark.usefixtures("port")
def test_a_fault_is_shown_with_its_remedy(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the table of the stores, which doctor and check-stores show, too."""

    def refuse(*_: object, **__: object) -> None:
        message = "etcd on 127.0.0.1:2379: alarm NOSPACE"
        raise NotReadyError(message, hint=find_remedy(StoreKind.ETCD, message=message))

    monkeypatch.setattr("backendai_ctl.status.report.check_needs", refuse)
    node = inspect_node(here(layout, STOPPED))
    (service,) = node.services
    assert "etcdctl alarm disarm" in service.remedy
    text = " ".join(render(node).split())
    assert f"manager: {service.needs}; {service.remedy}" in text
    assert node.as_table()["services"][0]["remedy"] == service.remedy


@pytest.mark.usefixtures("port")
def test_the_state_of_the_configuration_is_shown(layout: Layout) -> None:
    path = layout.etc / "manager.toml"
    path.write_text(path.read_text() + "# edited\n")
    (layout.etc / "alembic.ini.new").touch()
    assert inspect_node(here(layout, RUNNING)).services[0].config == "edited+new"
    (layout.etc / "manager.env").unlink()
    assert inspect_node(here(layout, RUNNING)).services[0].config == "missing+edited+new"


@pytest.mark.usefixtures("port")
def test_addons_and_seeding_are_reported(layout: Layout) -> None:
    folder = layout.addons
    folder.mkdir()
    (folder / "mock.toml").write_text('name = "mock"\n')
    (folder / "odd.toml").write_text("name = \n")
    state = layout.state / "seed/state.json"
    state.parent.mkdir(exist_ok=True)
    state.write_text('{"complete": false}\n')
    text = render(inspect_node(here(layout, RUNNING)))
    assert "add-ons: mock, odd (broken)" in text
    assert "seeded: not complete" in text


@pytest.mark.usefixtures("port")
def test_without_root(layout: Layout) -> None:
    node = inspect_node(
        host_view(layout, units={MANAGER: RUNNING}, programs=programs(), is_root=False)
    )
    assert not node.hidden, "what may be read is shown"
    for path in layout.etc.glob("manager.*"):
        path.unlink()
    node = inspect_node(
        host_view(layout, units={MANAGER: RUNNING}, programs=programs(), is_root=False)
    )
    assert "as root you would see, too: configuration" in render(node)


def test_doctor_prints_the_worst_and_its_remedy(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = [True]

    def fix() -> str:
        broken.clear()
        return "closed it"

    def check(_: HostView) -> list[object]:
        open_file = error("open to all", "/a", "chmod o= /a", value="0644", fix=fix)
        return [note("n", "/n", "look"), *([open_file] if broken else []), warning("w", "/w", "x")]

    monkeypatch.setattr(doctor, "CHECKS", {"files": check})
    assert run(layout, "doctor", "--only", "files") == 4
    printed = capsys.readouterr().out
    assert printed.splitlines()[:3] == [
        "error: /a: open to all (0644)",
        "    remedy: chmod o= /a",
        "    `doctor --fix` does it",
    ]
    assert printed.endswith("1 error, 1 warning, 1 note\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert run(layout, "doctor", "--fix", "--json") == 3
    answer = json.loads(capsys.readouterr().out)
    assert answer["fixed"] == ["closed it"]
    assert [finding["severity"] for finding in answer["findings"]] == ["warning", "note"]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run(layout, "doctor", "--fix") == 71


def test_every_recipe_keeps_to_run() -> None:
    """What the issue asks of each service's configuration."""
    for path in sorted((PROJECT / "postinst/services").glob("*/recipe.toml")):
        recipe = tomllib.loads(path.read_text())
        settings = {
            key: value
            for config in recipe["config"]
            for key, value in config.get("set", {}).items()
        }
        for key, value in settings.items():
            if key.endswith(("ipc-base-path", "ipc_base_path", "pid-file", "pid_file")):
                assert value.startswith(f"/run/backendai/{recipe['service']}"), (path.parent, key)
            assert not key.endswith("num-proc"), path.parent


def test_no_recipe_has_a_port_that_an_outgoing_connection_may_hold() -> None:
    """Linux gives these from 32768 on; a service that finds its own taken does not come up."""
    found: dict[str, int] = {}
    for path in sorted((PROJECT / "postinst/services").glob("*/recipe.toml")):
        for config in tomllib.loads(path.read_text())["config"]:
            lines = [line.get("set", {}) for line in config.get("line", [])]
            for settings in (config.get("set", {}), *lines):
                found |= {
                    f"{path.parent.name} {key}": value
                    for key, value in settings.items()
                    if key.endswith(("-port", "_port")) and isinstance(value, int)
                }
    monitors = [name for name in found if "aiomonitor" in name]
    assert {name.split()[0] for name in monitors} == {
        "agent",
        "appproxy-coordinator",
        "appproxy-worker",
        "manager",
        "storage-proxy",
    }
    assert max(found.values()) < 32768


def test_a_service_whose_database_is_not_upgraded_says_so(layout: Layout, port: int) -> None:
    failure = layout.failure_note("manager")
    failure.parent.mkdir(parents=True)
    failure.write_text("column exists\n")
    text = " ".join(render(inspect_node(here(layout, STOPPED))).split())
    assert "manager: its database is not upgraded: column exists" in text
    assert "Once fixed, run: sudo backendai-ctl upgrade manager" in text
    failure.with_name("manager.pending").touch()  # its database was away
    text = " ".join(render(inspect_node(here(layout, STOPPED))).split())
    assert "It is tried again by itself" in text
