"""Each fault that the doctor knows is found where it is, and not where it is not."""

import os
import socket
from collections.abc import Callable

import pytest
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import HostError, RecipeError
from backendai_ctl.base.layout import Layout
from backendai_ctl.doctor.checks import (
    host,
    listeners,
    seeding,
    settings,
    units,
)
from backendai_ctl.doctor.examine import CHECKS, examine, exit_status, fix_findings
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, Severity, error, note, warning
from backendai_ctl.seed.model import State, StepResult
from backendai_ctl.seed.state import Report, save_report
from backendai_ctl.services.recipe import load_recipe

from tests.helpers.ports import free_port
from tests.unit.postinst.conftest import install_recipe, write_agent
from tests.unit.postinst.host_views import (
    RUNNING,
    STOPPED,
    Programs,
    host_view,
    process,
    said,
    tcp_table,
)

AGENT = "backendai-agent.service"
STRANGER = Owner(uid=54321, gid=54321)


# Listeners.


@pytest.fixture
def listening(node: Layout) -> Layout:
    """An agent whose metadata server is on every address, and others that may be."""
    process(node.root, 70, [700, 701, 702, 703])
    group = node.root / "sys/fs/cgroup/system.slice/agent"
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("70\n")
    rows = [
        ("00000000", 6005, "0A", 700),
        ("0100007F", 6003, "0A", 701),
        ("00000000", 6001, "0A", 702),
        ("00000000", 22, "0A", 999),  # not ours
        ("00000000", 50000, "01", 703),  # a connection
    ]
    tcp_table(node.root, "tcp", rows)
    tcp_table(node.root, "tcp6", [("0" * 32, 9999, "0A", 703)])
    return node


def agent_runs(layout: Layout) -> HostView:
    """The agent, by its cgroup."""
    return host_view(layout, units={AGENT: {**RUNNING, "ControlGroup": "/system.slice/agent"}})


def test_listeners_that_nobody_asked_for(listening: Layout) -> None:
    found = list(listeners.check_listeners(agent_runs(listening)))
    assert [(finding.severity, finding.value) for finding in found] == [
        (Severity.WARNING, f"0.0.0.0:{port}") for port in (6001, 6005, 9999)
    ]
    assert "metadata-host" in found[1].remedy
    assert "firewall" in found[0].remedy


def test_site_toml_may_ask_for_them(listening: Layout) -> None:
    text = listening.site.read_text()
    listening.site.write_text(text + '[agent]\naddress = "0.0.0.0:6001"\n')
    ports = [finding.value for finding in listeners.check_listeners(agent_runs(listening))]
    assert ports == ["0.0.0.0:6005", "0.0.0.0:9999"]


def test_a_file_may_ask_for_them_and_is_noted(listening: Layout) -> None:
    more = (
        'x = [{ ip = "0.0.0.0", port = 6001 }]\n'
        '[proxy]\nbind_host = "0.0.0.0"\nbind_port_range = [6002, 6200]\n'
    )
    write_agent(listening, more=more)
    found = list(listeners.check_listeners(agent_runs(listening)))
    assert [(finding.severity, finding.value) for finding in found] == [
        (Severity.NOTE, "6001"),
        (Severity.WARNING, "0.0.0.0:9999"),
    ]


def test_without_root_or_unit_nobody_looks(listening: Layout) -> None:
    assert not list(listeners.check_listeners(host_view(listening)))
    assert not list(listeners.check_listeners(host_view(listening, is_root=False)))


# Room and versions.


@pytest.mark.parametrize(("left", "expected"), [(100, ["error"]), (900, ["warning"]), (5000, [])])
def test_room(
    node: Layout, monkeypatch: pytest.MonkeyPatch, left: int, expected: list[str]
) -> None:
    (node.root / "opt").mkdir(exist_ok=True)
    blocks = os.statvfs_result((4096, 4096, 2**25, left * 256, left * 256, 1, 1, 1, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: blocks)
    # One file system, reported once.
    assert [finding.severity.word for finding in host.check_room(host_view(node))] == expected


def test_versions_that_differ(node: Layout) -> None:
    programs = Programs()
    programs.says(
        "dpkg-query",
        "backendai-agent 26.9.6-1 installed\nbackendai-common 26.9.5-2 installed\n"
        "backendai-manager 25.1-1 config-files\nbackendai-archive-keyring 1-1 installed\n",
    )
    (found,) = host.check_versions(host_view(node, programs=programs))
    assert found.value == "backendai-agent 26.9.6, backendai-common 26.9.5"


def test_a_process_of_before_the_upgrade(node: Layout) -> None:
    (node.root / "proc/70").mkdir(parents=True)
    (node.root / "proc/70/exe").symlink_to("/opt/backendai/agent/bin/python3.13 (deleted)")
    here = host_view(node, units={AGENT: {**RUNNING, "MainPID": "70"}})
    (found,) = host.check_versions(here)
    assert found.remedy == f"systemctl restart {AGENT}"


# Units, stores, settings.


def test_units_that_failed_or_do_not_run(node: Layout) -> None:
    write_agent(node)
    port = f'{{ host = "127.0.0.1", port = {free_port()} }}'
    text = f"[api.manager]\nservice-addr = {port}\n"
    (node.etc / "storage-proxy.toml").write_text(text)
    states = {
        AGENT: {**RUNNING, "ActiveState": "failed"},
        "backendai-storage-proxy.service": STOPPED,
    }
    found = said(units.check_units(host_view(node, units=states)))
    proxy = "backendai-storage-proxy.service"
    assert found == [
        f"error: {AGENT}: {AGENT} failed and is tried again",
        f"warning: {proxy}: {proxy} is enabled and does not run",
    ]


def test_a_taken_port_is_reported_with_the_unit(node: Layout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (node.etc / "agent.toml").write_text(
            f'[agent]\nrpc-listen-addr = {{ host = "127.0.0.1", port = {port} }}\n'
        )
        found = list(units.check_units(host_view(node, units={AGENT: STOPPED})))
    assert "Address already in use" in found[1].what
    assert f"sport = {port}" in found[1].remedy


def test_running_without_an_answer(node: Layout) -> None:
    (node.etc / "agent.toml").write_text(
        f'[agent]\nrpc-listen-addr = {{ host = "127.0.0.1", port = {free_port()} }}\n'
    )
    (found,) = units.check_units(host_view(node, units={AGENT: RUNNING}))
    assert found.what == "agent runs and does not answer"


def test_an_unreachable_store_is_reported_once(node: Layout) -> None:
    port = free_port()
    (node.root / "run").mkdir()
    (node.root / "run/docker.sock").touch()
    for service in ("agent", "storage-proxy"):
        path = node.etc / f"{service}.toml"
        path.write_text(path.read_text() + f'[etcd]\naddr = "127.0.0.1:{port}"\n')
    (found,) = units.check_stores(host_view(node))
    assert f"nothing answers on 127.0.0.1:{port}" in found.what


def test_what_seeding_left_undone(node: Layout) -> None:
    def line(step: str, state: State, detail: str, remedy: str = "") -> StepResult:
        return StepResult(group="cluster", step=step, state=state, detail=detail, remedy=remedy)

    lines = [
        line("etcd", State.DIFFERS, "config/redis/addr"),  # as the admin wants it
        line("secrets", State.DIFFERS, "not the cluster's: manager-jwt", "adopt"),
        line("database", State.WAITING, "is read-only"),
        line("schema", State.WAITING, "for database"),
    ]
    node.seed_state.mkdir(parents=True)
    save_report(node, Report(complete=False, results=lines))
    found = list(seeding.check_seeding(host_view(node)))
    assert [(finding.what, finding.where) for finding in found] == [
        ("not the cluster's: manager-jwt", "seed, cluster: secrets"),
        ("is read-only", "seed, cluster: database"),
    ]
    assert found[0].remedy == "adopt"
    assert "sudo backendai-ctl seed apply" in found[1].remedy
    save_report(node, Report(complete=True, results=lines[:1]))
    assert not list(seeding.check_seeding(host_view(node)))


def test_docker_that_is_away(node: Layout) -> None:
    programs = Programs()
    programs.says("docker version", status=1, stderr="Cannot connect to the Docker daemon\n")
    (found,) = units.check_engine(host_view(node, programs=programs))
    assert "Cannot connect" in found.what
    programs.says("docker version", "28.0\n")
    assert not list(units.check_engine(host_view(node, programs=programs)))


def test_wrong_settings(node: Layout) -> None:
    node.site.write_text("[etcd]\naddress = 1\n[account]\nuid = 0\n")
    here = host_view(node)
    (found,) = settings.check_site(here)
    assert "did you mean 'addresses'" in found.what
    assert [finding.what for finding in settings.check_configurations(here)] == []
    (node.etc / "agent.toml.new").touch()
    (node.etc / "storage-proxy.toml").unlink()
    assert said(settings.check_configurations(here)) == [
        f"note: {node.etc}/agent.toml.new: this release, or site.toml, would make another file",
        f"error: {node.etc}/storage-proxy.toml: the configuration is missing",
    ]


def test_the_account(node: Layout) -> None:
    node.site.write_text("[account]\nuid = 1234\n")
    (found,) = settings.check_account(host_view(node, account=STRANGER))
    assert "is 54321:54321, site.toml says 1234:1100" in found.what
    nobody = HostView(node, run=Programs().run, show_units=lambda _: {}, account=None, is_root=True)
    (found,) = settings.check_account(nobody)
    assert found.severity is Severity.ERROR


# The whole.


def test_the_worst_comes_first_and_a_check_that_fails_is_one(node: Layout) -> None:
    def broken(_: HostView) -> list[Finding]:
        raise HostError("out of luck")

    checks: dict[str, Callable[[HostView], list[Finding]]] = {
        "a": lambda _: [note("n", "w", "r"), warning("x", "w", "r")],
        "b": broken,
    }
    found = examine(host_view(node), dict(checks))
    assert [(finding.severity.word, finding.check) for finding in found] == [
        ("error", "b"),
        ("warning", "a"),
        ("note", "a"),
    ]
    assert "out of luck" in found[0].what
    assert exit_status(found) == 4
    assert exit_status(found[1:]) == 3
    assert exit_status(found[2:]) == exit_status([]) == 0


def test_every_finding_names_a_remedy(node: Layout) -> None:
    node.site.write_text("[etcd\n")
    found = examine(host_view(node, units={AGENT: STOPPED}, programs=Programs()), dict(CHECKS))
    assert found
    for finding in found:
        assert finding.remedy
        assert finding.where
        assert set(finding.as_table()) >= {"severity", "check", "what", "where", "value", "remedy"}


def test_a_remedy_that_raises_is_not_the_end() -> None:
    def fails() -> str:
        raise HostError("no")

    done, failed = fix_findings(
        [error("a", "here", "r", fix=fails), error("b", "there", "r", fix=lambda: "fixed b")]
    )
    assert (done, failed) == (["fixed b"], ["here: no"])


def test_a_recipe_with_a_wrong_health_is_the_packages_fault(layout: Layout) -> None:
    path = layout.recipes / "manager.toml"
    path.write_text(path.read_text() + '\n[health]\nvolume = "x"\n')
    with pytest.raises(RecipeError, match="unknown keys: volume"):
        load_recipe(layout, "manager")


@pytest.mark.parametrize(
    ("state", "has_token", "count"),
    [
        ({"UnitFileState": "enabled"}, False, 1),
        ({"UnitFileState": "disabled", "ActiveState": "active"}, False, 1),
        ({"UnitFileState": "enabled"}, True, 0),
        ({"UnitFileState": "disabled"}, False, 0),
    ],
)
def test_a_watcher_that_everybody_may_command(
    node: Layout,
    monkeypatch: pytest.MonkeyPatch,
    state: dict[str, str],
    *,
    has_token: bool,
    count: int,
) -> None:
    class Store:
        """In the place of etcd."""

        def has(self, key: str) -> bool:
            assert key == "config/watcher/token"
            return has_token

    monkeypatch.setattr(units, "find_etcd", lambda _: Store())
    watcher = "backendai-agent-watcher.service"
    found = list(units.check_guards(host_view(node, units={watcher: state})))
    assert [finding.where for finding in found] == [watcher] * count
    assert all(finding.severity is Severity.ERROR for finding in found)


PUBLIC = '[node]\npublic-host = "node.example.com"\n'


@pytest.mark.parametrize(
    ("site", "is_open"),
    [
        ("", False),
        (PUBLIC, True),
        # A web server has the outer address.
        (f'{PUBLIC}[appproxy]\naddress = "127.0.0.1:10200"\n', False),
    ],
)
def test_an_app_proxy_that_everybody_may_command(
    services: Layout, configured: Callable[..., list[str]], site: str, *, is_open: bool
) -> None:
    services.site.write_text(site)
    configured("appproxy-coordinator")
    found = list(units.check_guards(host_view(services)))
    assert [finding.value for finding in found] == ["0.0.0.0:10200"] * is_open
    assert all(finding.severity is Severity.WARNING for finding in found)


# Others that a service passes requests on to.


def write_webserver(layout: Layout, *, manager: str, gateway: str, enabled: bool = True) -> None:
    """webserver.conf, as far as the checks look."""
    (layout.recipes / "manager.toml").unlink(missing_ok=True)
    install_recipe(layout, "webserver")
    (layout.etc / "webserver.conf").write_text(
        f'[api]\nendpoint = "{manager}"\n[apollo-router]\nenabled = {str(enabled).lower()}\n'
        f'endpoint = "{gateway}"\n[service]\nip = "127.0.0.1"\nport = 1\n'
    )


WEBSERVER = {"backendai-webserver.service": RUNNING}


def test_a_gateway_that_is_silent_or_not_asked_is_found(layout: Layout) -> None:
    silent = f"127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = f"http://127.0.0.1:{listener.getsockname()[1]}"
        write_webserver(layout, manager=there, gateway=there)
        assert list(units.check_peers(host_view(layout, units=WEBSERVER))) == []

        # Where there are several, each is looked at.
        write_webserver(layout, manager=there, gateway=f"{there},http://{silent}")
        (found,) = units.check_peers(host_view(layout, units=WEBSERVER))
        assert (found.severity, found.value) == (Severity.ERROR, silent)
        assert found.where.endswith("webserver.conf: apollo-router.endpoint")
        assert "backendai-graphql" in found.remedy

        write_webserver(layout, manager=there, gateway=f"http://{silent}", enabled=False)
        (found,) = units.check_peers(host_view(layout, units=WEBSERVER))
        assert (found.severity, found.value) == (Severity.WARNING, "false")
        assert "enabled = true" in found.remedy

        write_webserver(layout, manager=f"http://{silent}", gateway=there)
        (found,) = units.check_peers(host_view(layout, units=WEBSERVER))
        assert "manager" in found.what

    # One that does not run asks nobody.
    stopped = {"backendai-webserver.service": STOPPED}
    assert list(units.check_peers(host_view(layout, units=stopped))) == []


def test_a_file_without_a_gateway_is_for_the_release_to_judge(layout: Layout) -> None:
    write_webserver(layout, manager="http://127.0.0.1:1", gateway="")
    (layout.etc / "webserver.conf").write_text('[service]\nip = "127.0.0.1"\nport = 1\n')
    assert list(units.check_peers(host_view(layout, units=WEBSERVER))) == []
