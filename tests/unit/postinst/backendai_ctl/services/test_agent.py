"""The agent's answers: what sessions get of a node, the bridge of Docker, and the watcher."""

import pytest
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.errors import NotReadyError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.programs import Done
from backendai_ctl.services import host_answers
from backendai_ctl.services.host_answers import derived_answers
from backendai_ctl.services.recipe import load_recipe

from builder.base.model import PackageFormat
from tests.unit.postinst.configs import Configured, made, table
from tests.unit.postinst.conftest import install_recipe
from tests.unit.postinst.rendered import context, renderer, spec
from tests.unit.postinst.samples import AGENT


@pytest.fixture
def node(layout: Layout) -> Layout:
    """A node with an agent, two processors and 4 GiB."""
    layout.samples("agent").mkdir(parents=True)
    (layout.samples("agent") / "agent.toml").write_text(AGENT)
    install_recipe(layout, "agent")
    proc = layout.root / "proc/sys/net/ipv4"
    proc.mkdir(parents=True)
    (proc / "ip_local_port_range").write_text("32768\t60999\n")
    (layout.root / "proc/cpuinfo").write_text("processor\t: 0\nmodel\nprocessor\t: 1\n")
    (layout.root / "proc/meminfo").write_text("MemTotal:        4194304 kB\n")
    return layout


def test_answers_come_into_the_configuration(node: Layout, configured: Configured) -> None:
    node.site.write_text(
        '[agent]\nreserved-cpu = 2\nreserved-mem = "3G"\nreserved-disk = "20G"\n'
        'port-range = "20000-20100"\nstatistics = "cgroup"\n'
    )
    configured("agent")
    found = made(node, "agent.toml")
    assert found["resource"] == {
        "reserved-cpu": 2,
        "reserved-mem": "3G",
        "reserved-disk": "20G",
    }
    assert found["container"]["port-range"] == [20000, 20100]
    assert found["container"]["stats-type"] == "cgroup"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("reserved-cpu = 3", "agent.reserved-cpu = 3: this host has 2"),
        ('reserved-mem = "5G"', "agent.reserved-mem = 5G: this host has 4096M"),
        ('reserved-mem = "4 GB"', 'agent.reserved-mem = "4 GB": must be 0, or a size as 512M'),
        ('port-range = "31000-30000"', 'agent.port-range = "31000-30000": must be FIRST-LAST'),
        ('port-range = "80-90"', 'agent.port-range = "80-90": must be FIRST-LAST from 1024'),
        (
            'port-range = "8000-9000"',
            "agent.port-range = 8000-9000: has the port of manager.address, 0.0.0.0:8081",
        ),
        ('statistics = "none"', 'agent.statistics = "none": must be docker or cgroup'),
    ],
)
def test_what_the_host_has_not_is_refused(
    node: Layout, configured: Configured, line: str, message: str
) -> None:
    node.site.write_text(f"[agent]\n{line}\n")
    with pytest.raises(SiteError) as refused:
        configured("agent")
    assert message in str(refused.value)
    assert [path.name for path in node.etc.iterdir()] == ["site.toml"]


def test_a_small_host_keeps_the_defaults(node: Layout, configured: Configured) -> None:
    (node.root / "proc/meminfo").write_text("MemTotal: 524288 kB\n")
    configured("agent")
    assert made(node, "agent.toml")["resource"]["reserved-mem"] == "1G"


def test_ports_of_outgoing_connections_are_warned_of(node: Layout, configured: Configured) -> None:
    node.site.write_text('[agent]\nport-range = "32000-33000"\n')
    assert any("Linux takes 32768 to 60999" in line for line in configured("agent"))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("fd00::1 172.18.0.1 \n", "172.18.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("<no value>", "127.0.0.1"),
    ],
)
def test_the_bridge_of_docker(
    node: Layout, monkeypatch: pytest.MonkeyPatch, said: str, expected: str
) -> None:
    monkeypatch.setattr(
        host_answers, "run_program", lambda *_, **__: Done(status=0, stdout=said, stderr="")
    )
    node.site.write_text('[agent]\nmetadata-host = ""\n')
    assert derive(node) == ({"agent.metadata-host": expected}, expected == "127.0.0.1")


def test_without_docker_it_is_loopback_with_a_word(
    node: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object, **__: object) -> Done:
        raise NotReadyError("docker: not found")

    monkeypatch.setattr(host_answers, "run_program", absent)
    node.site.write_text('[agent]\nmetadata-host = ""\n')
    assert derive(node) == ({"agent.metadata-host": "127.0.0.1"}, True)
    node.site.write_text('[agent]\nmetadata-host = "10.0.0.1"\n')
    assert derive(node) == ({}, False)


def derive(node: Layout) -> tuple[dict[str, str], bool]:
    """The answers that a real host derives, and whether it warns."""
    said: list[str] = []
    site, recipe = load_site(node), load_recipe(node, "agent")
    return derived_answers(Layout(), site, recipe, said.append), bool(said)


def test_the_watcher_has_a_file_of_its_own(node: Layout, configured: Configured) -> None:
    node.site.write_text(
        '[etcd]\naddresses = ["10.0.0.1:2379"]\n[agent]\nwatcher-address = "10.0.0.5:6009"\n'
    )
    configured("agent")
    found = made(node, "watcher.toml")
    assert found["watcher"]["service-addr"] == {"host": "10.0.0.5", "port": 6009}
    assert found["etcd"]["addr"] == {"host": "10.0.0.1", "port": 2379}
    assert "watcher" not in made(node, "agent.toml")
    unit = (
        renderer().render("postinst/services/agent/watcher.service.j2", watcher_context()).decode()
    )
    assert "-m ai.backend.agent.watcher --config /etc/backend.ai/watcher.toml\n" in unit


def test_seeding_makes_the_watchers_token(layout: Layout) -> None:
    config = table(load_recipe(layout, "manager").etcd["config"])
    assert table(config["watcher"])["token"] == {"secret": "manager-watcher-token"}


@pytest.mark.parametrize(
    ("version", "signal"),
    [("25.5.3", "SIGINT"), ("25.6.0rc1", "SIGINT"), ("25.6.0", "SIGTERM"), ("26.9.6", "SIGTERM")],
)
def test_sessions_survive_the_signal_that_stops_an_agent(version: str, signal: str) -> None:
    found = watcher_context()
    release = spec().releases["26.9"].model_copy(update={"version": version})
    unit = renderer().render("systemd/service.service.j2", {**found, "release": release}).decode()
    assert f"\nKillSignal={signal}\n" in unit


def watcher_context() -> dict[str, object]:
    """What the agent's templates may use."""
    return context(spec().packages["backendai-agent"], PackageFormat.DEB)
