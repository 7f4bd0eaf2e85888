"""Ports of services that Linux may assign to outgoing connections."""

from backendai_ctl.base.layout import Layout
from backendai_ctl.doctor.checks import outgoing
from backendai_ctl.services.recipe import load_recipe

from builder.base.paths import PROJECT
from tests.unit.postinst.conftest import install_recipe, write_agent
from tests.unit.postinst.host_views import host_view

_LINUX_ASSIGNS_FROM = 32768
_SERVICES = sorted(
    path.parent.name for path in (PROJECT / "postinst/services").glob("*/recipe.toml")
)


def assigns(layout: Layout, ports: str, reserved: str = "") -> None:
    """Say which ports the kernel assigns, and which of them it does not."""
    folder = layout.root / "proc/sys/net/ipv4"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ip_local_port_range").write_text(ports)
    (folder / "ip_local_reserved_ports").write_text(f"{reserved}\n")


def found(layout: Layout) -> list[tuple[str | None, str]]:
    """Return what the check says: the ports, and the remedy."""
    return [(each.value, each.remedy) for each in outgoing.check_outgoing(host_view(layout))]


def test_ports_of_an_edited_file_are_named_with_what_is_reserved_already(node: Layout) -> None:
    monitor = "aiomonitor-termui-port = 38200\naiomonitor-webui-port = 39200\n"
    write_agent(node, more=f"{monitor}[container]\nport-range = [40000, 40002]\n")
    assigns(node, "32768\t60999\n", "8080,38200,50000-50001")
    ((ports, remedy),) = found(node)
    assert ports == "39200,40000-40002"
    merged = "8080,38200,39200,40000-40002,50000-50001"
    assert f"ip_local_reserved_ports = {merged} > /etc/sysctl.d/" in remedy
    assert "below 32768" in remedy
    assigns(node, "32768\t60999\n", merged)
    assert not found(node)


def test_ports_below_are_fine_and_a_host_without_the_setting_too(node: Layout) -> None:
    monitor = "aiomonitor-termui-port = 38200\n[container]\nport-range = [30000, 31000]\n"
    write_agent(node, more=monitor)
    assert not found(node)
    assigns(node, "40000\t65000\n")
    assert not found(node)


def test_every_monitor_has_ports_of_its_own_below(layout: Layout) -> None:
    ports: list[object] = []
    for service in _SERVICES:
        install_recipe(layout, service)
        recipe = load_recipe(layout, service)
        settings = {key: value for file in recipe.configs for key, value in file.settings.items()}
        named = {key for key in settings if "aiomonitor" in key}
        assert named == set(recipe.monitor.ports if recipe.monitor else ())
        ports += [settings[key] for key in named]
    assert len(set(ports)) == len(ports) >= 2
    assert all(isinstance(port, int) and port < _LINUX_ASSIGNS_FROM for port in ports)


def test_the_suggested_range_has_none_of_our_ports(node: Layout) -> None:
    suggested = (PROJECT / "systemd/sysctl.conf").read_text()
    line = next(line for line in suggested.splitlines() if "ip_local_port_range" in line)
    first = int(line.partition("=")[2].split()[0])
    assert first >= _LINUX_ASSIGNS_FROM
    assert "\nnet.ipv4.ip_local_reserved_ports" not in suggested  # it would replace an admin's
