"""Answers that depend on this host: derived from it, or refused because it is smaller."""

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address
from pathlib import Path

from backendai_ctl.answers.kinds import Address
from backendai_ctl.answers.site import Site
from backendai_ctl.base.errors import NotReadyError, RecipeError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.programs import run_program
from backendai_ctl.base.text import lines_if_any
from backendai_ctl.services.recipe import Recipe, Reserved

Say = Callable[[str], None]
_GATEWAY = ["docker", "network", "inspect", "bridge", "--format"]
_GATEWAY += ["{{range .IPAM.Config}}{{.Gateway}} {{end}}"]
_SECONDS = 10.0
_LOOPBACK = "127.0.0.1"
_UNITS = {"M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# Sections whose addresses are of services; one of another node is not told from one of this.
_SERVICES = ("manager", "storage-proxy", "webserver", "graphql", "agent", "appproxy")


def derived_answers(layout: Layout, site: Site, recipe: Recipe, say: Say) -> dict[str, str]:
    """Return an answer of this host for each empty one that the recipe derives."""
    found: dict[str, str] = {}
    for name, way in recipe.derive.items():
        if way not in _WAYS:
            raise RecipeError(f"a recipe derives {name} by {way!r}; known: {', '.join(_WAYS)}")
        if site[name] == "":
            found[name] = _WAYS[way](layout, name, say)
    return found


def _docker_bridge(layout: Layout, name: str, say: Say) -> str:
    """Return the address of this host on Docker's own network, never that of every network."""
    if layout.root == Path("/"):
        try:
            for word in run_program(_GATEWAY, seconds=_SECONDS).stdout.split():
                if "." in word and _is_of_bridge(IPv4Address(word)):
                    return word
        except (NotReadyError, ValueError):
            pass
        say(
            f"warning: Docker does not say the address of its bridge, so {name} is {_LOOPBACK}: "
            "`backendai-ctl configure` derives it once Docker runs"
        )
    return _LOOPBACK


def _is_of_bridge(address: IPv4Address) -> bool:
    # 0.0.0.0 is private, too.
    return address.is_private and not (address.is_unspecified or address.is_loopback)


_WAYS: Mapping[str, Callable[[Layout, str, Say], str]] = {"docker-bridge": _docker_bridge}


def check_reserved(layout: Layout, site: Site, reserved: Reserved, say: Say) -> None:
    """Raise SiteError for more than this host has, and for ports that are a service's."""
    problems = [*_too_much(layout, site, reserved), *_taken_ports(site, reserved.ports)]
    if problems:
        hint = "correct the file, then run this again"
        raise SiteError([f"{layout.site}: {problem}" for problem in problems], hint=hint)
    low, high = _ephemeral(layout)
    first, last = _range(site, reserved.ports)
    if first <= high and low <= last:
        say(
            f"warning: {reserved.ports} = {first}-{last}: Linux takes {low} to {high} for "
            "outgoing connections, so that some of these ports are not free"
        )


def _too_much(layout: Layout, site: Site, reserved: Reserved) -> Iterator[str]:
    processors = len([line for line in _proc(layout, "cpuinfo") if line.startswith("processor")])
    cpu = int(str(site[reserved.cpu]))
    if processors and cpu > processors and not _is_default(site, reserved.cpu):
        yield f"{reserved.cpu} = {cpu}: this host has {processors}"
    total = next((line for line in _proc(layout, "meminfo") if line.startswith("MemTotal:")), "")
    memory = str(site[reserved.memory])
    kib = int(total.split()[1]) if total else 0
    if kib and _bytes(memory) > kib << 10 and not _is_default(site, reserved.memory):
        yield f"{reserved.memory} = {memory}: this host has {kib >> 10}M"


def _taken_ports(site: Site, name: str) -> Iterator[str]:
    first, last = _range(site, name)
    for question in site.questions.all:
        if question.section not in _SERVICES or not question.key.endswith("address"):
            continue
        answer = str(site[question.name])
        if answer and first <= Address.parse(answer).port <= last:
            yield f"{name} = {first}-{last}: has the port of {question.name}, {answer}"


def _range(site: Site, name: str) -> tuple[int, int]:
    first, _, last = str(site[name]).partition("-")
    return int(first), int(last)


def _is_default(site: Site, name: str) -> bool:
    question = site.questions.named(name)
    return question is not None and site[name] == question.default


def _bytes(size: str) -> int:
    return 0 if size == "0" else int(size[:-1]) * _UNITS[size[-1]]


def _ephemeral(layout: Layout) -> tuple[int, int]:
    words = " ".join(_proc(layout, "sys/net/ipv4/ip_local_port_range")).split()
    return (int(words[0]), int(words[1])) if words else (0, 0)


def _proc(layout: Layout, name: str) -> list[str]:
    return lines_if_any(layout.root / "proc" / name)
