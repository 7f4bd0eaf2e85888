"""Checks for ports that are open on every address although nobody asked for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.systemd import unit_of
from backendai_ctl.base.text import fields_of, lines_if_any
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, note, warning
from backendai_ctl.services.recipe import Recipe

_LISTEN = "0A"
_ANY = {"00000000", "0" * 32}
_WILDCARDS = ("0.0.0.0", "::", "*")
_HOSTS = ("host", "ip", "bind-host", "bind_host")
_RANGES = ("bind_port_range", "port-range")
_RANGE_LENGTH = 2


@dataclass(frozen=True)
class Asked:
    """The ports that are open on every address on purpose."""

    ports: frozenset[int]

    def has(self, port: int) -> bool:
        """Whether the port is one of them."""
        return port in self.ports


def check_listeners(view: HostView) -> Iterator[Finding]:
    """Check that no process listens on every address unless site.toml or its own file says so."""
    if not view.is_root:
        return
    answered = _of_site(view)
    for recipe in view.recipes:
        if not view.is_active(recipe.service):
            continue
        config = view.configs.get(recipe.service)
        asked = Asked(frozenset(_wildcards(config.table))) if config else Asked(frozenset())
        for port in sorted(_open_ports(view, recipe.service)):
            if answered.has(port):
                continue
            if not asked.has(port):
                yield _unasked(recipe, port)
            elif port not in port_ranges(config.table if config else {}):
                yield note(
                    f"{recipe.service} listens on every address at port {port}: its file says "
                    "so, and site.toml does not",
                    config.label if config else "",
                    "say so in site.toml, too, or choose another address",
                    value=str(port),
                )


def _unasked(recipe: Recipe, port: int) -> Finding:
    default = f"close port {port} to others by the host's firewall"
    return warning(
        f"{recipe.service} listens on every address at port {port}, which nobody asked for",
        unit_of(recipe.service),
        recipe.health.exposed.get(str(port), default),
        value=f"0.0.0.0:{port}",
    )


def _of_site(view: HostView) -> Asked:
    ports = set()
    for value in view.site.answers.values() if view.site else ():
        for text in value if isinstance(value, list) else [str(value)]:
            try:
                address = Address.parse(text)
            except ValueError:
                continue
            if address.host in _WILDCARDS:
                ports.add(address.port)
    return Asked(frozenset(ports))


def _wildcards(value: object) -> Iterator[int]:
    """Yield the ports of a configuration that stand beside a wildcard, at any depth."""
    if isinstance(value, list):
        for item in value:
            yield from _wildcards(item)
    if not isinstance(value, Mapping):
        return
    if any(value.get(key) in _WILDCARDS for key in _HOSTS):
        port = value.get("port")
        if isinstance(port, int):
            yield port
        yield from _range(value)
    for below in value.values():
        yield from _wildcards(below)


def port_ranges(value: object) -> set[int]:
    """Return the ports in ranges, at any depth: they are for users, too many for a note each."""
    if not isinstance(value, Mapping):
        return set()
    found = set(_range(value))
    for below in value.values():
        found |= port_ranges(below)
    return found


def _range(table: Mapping[str, object]) -> Iterator[int]:
    for key in _RANGES:
        ends = table.get(key)
        if isinstance(ends, list) and len(ends) == _RANGE_LENGTH:
            yield from range(int(ends[0]), int(ends[1]) + 1)


def _open_ports(view: HostView, service: str) -> set[int]:
    """Return the ports on which a process of the unit listens at every address."""
    ours = {inode for pid in _pids(view, service) for inode in _sockets(view, pid)}
    found = set()
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _lines(view, name)[1:]:
            words = fields_of(line)
            host, _, port = words[1].partition(":")
            if words[3] == _LISTEN and host in _ANY and words[9] in ours:
                found.add(int(port, 16))
    return found


def _pids(view: HostView, service: str) -> set[str]:
    """Return the processes of the unit's cgroup, in either hierarchy; at least the main one."""
    state = view.units.get(service, {})
    group = state.get("ControlGroup", "").lstrip("/")
    found = {state.get("MainPID", "0")}
    if group:
        for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"):
            found.update(_lines(view, f"{top}/{group}/cgroup.procs"))
    return {pid for pid in found if pid.isdigit() and pid != "0"}


def _sockets(view: HostView, pid: str) -> set[str]:
    found = set()
    folder = view.path(f"/proc/{pid}/fd")
    try:
        links = list(folder.iterdir())
    except OSError:
        return set()
    for link in links:
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target.removeprefix("socket:[").removesuffix("]"))
    return found


def _lines(view: HostView, name: str) -> list[str]:
    return lines_if_any(view.path(name))
