"""Checks for ports of services that Linux may assign to outgoing connections."""

from collections.abc import Collection, Iterator

from backendai_ctl.base.errors import HostError
from backendai_ctl.base.systemd import unit_of
from backendai_ctl.base.text import lines_if_any
from backendai_ctl.doctor.checks.listeners import port_ranges
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, warning
from backendai_ctl.services.recipe import Recipe
from backendai_ctl.stores.ports import own_addresses
from backendai_ctl.stores.service_config import ServiceConfig

_ASSIGNED = "/proc/sys/net/ipv4/ip_local_port_range"
_RESERVED = "/proc/sys/net/ipv4/ip_local_reserved_ports"
_FILE = "/etc/sysctl.d/90-backendai-ports.conf"


def check_outgoing(view: HostView) -> Iterator[Finding]:
    """Check that no port of a service is one that an outgoing connection may have."""
    first, last = _assigned(view)
    reserved = _numbers(_joined(lines_if_any(view.path(_RESERVED))))
    taken = frozenset(range(first, last + 1)) - reserved
    for recipe in view.recipes:
        config = view.configs.get(recipe.service)
        if config is None:
            continue
        wanted = (_ports(config, recipe) | port_ranges(config.table)) & taken
        if wanted:
            yield warning(
                f"{recipe.service} listens on ports that Linux also assigns to outgoing "
                "connections: while a connection has such a port, the service does not start",
                config.label,
                f"choose ports below {first}, or reserve them: "
                f"echo net.ipv4.ip_local_reserved_ports = {_as_list(reserved | wanted)} > {_FILE}"
                " && sysctl --system; "
                f"then systemctl restart {unit_of(recipe.service)}",
                value=_as_list(wanted),
            )


def _ports(config: ServiceConfig, recipe: Recipe) -> set[int]:
    try:
        return {address.port for _, address in own_addresses(config, recipe)}
    except HostError:  # no address, which another check reports
        return set()


def _assigned(view: HostView) -> tuple[int, int]:
    """Return the first and the last port that Linux assigns; an empty range if unknown."""
    words = _joined(lines_if_any(view.path(_ASSIGNED))).split()
    match words:
        case [first, last] if first.isdigit() and last.isdigit():
            return int(first), int(last)
    return 1, 0


def _joined(lines: list[str]) -> str:
    return " ".join(lines).strip()


def _numbers(text: str) -> frozenset[int]:
    """Return the ports of a list as the kernel writes it: ``8080,9000-9010``."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit() and (last or first).isdigit():
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _as_list(ports: Collection[int]) -> str:
    """Return the ports as the kernel writes them."""
    parts: list[tuple[int, int]] = []
    for port in sorted(ports):
        if parts and parts[-1][1] == port - 1:
            parts[-1] = (parts[-1][0], port)
        else:
            parts.append((port, port))
    return ",".join(f"{first}-{last}" if first != last else f"{first}" for first, last in parts)
