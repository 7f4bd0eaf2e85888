"""The dependency graph of wheels: what their metadata requires, among the locked. Pure."""

from collections.abc import Mapping, Sequence
from email.message import Message

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

Graph = dict[str, tuple[str, ...]]


def requirement_graph(metadata: Mapping[str, Message], *, minor: str, machine: str) -> Graph:
    """Return for each distribution the names that it requires on the target, sorted.

    An extra counts if any of the distributions asks for it; its requirements count then for
    all: an environment has each distribution once.
    """
    declared = {name: _requirements(message) for name, message in metadata.items()}
    environment = _environment(minor, machine)
    extras: dict[str, set[str]] = {name: {""} for name in declared}
    while True:
        needed = {
            name: [found for found in rows if _applies(found, environment, extras[name])]
            for name, rows in declared.items()
        }
        if not _add_extras(extras, needed):
            return {
                name: tuple(sorted({canonicalize_name(found.name) for found in rows}))
                for name, rows in needed.items()
            }


def _add_extras(extras: dict[str, set[str]], needed: Mapping[str, Sequence[Requirement]]) -> bool:
    """Add the extras that requirements ask for; returns whether there was a new one."""
    grown = False
    for rows in needed.values():
        for found in rows:
            known = extras.get(canonicalize_name(found.name))
            wanted = {canonicalize_name(extra) for extra in found.extras}
            if known is not None and not wanted <= known:
                known |= wanted
                grown = True
    return grown


def _requirements(message: Message) -> list[Requirement]:
    found = []
    for line in message.get_all("Requires-Dist", []):
        try:
            found.append(Requirement(str(line)))
        except InvalidRequirement:
            continue  # uv has resolved without it, too
    return found


def _applies(found: Requirement, environment: Mapping[str, str], extras: set[str]) -> bool:
    if found.marker is None:
        return True
    return any(found.marker.evaluate({**environment, "extra": extra}) for extra in sorted(extras))


def _environment(minor: str, machine: str) -> dict[str, str]:
    host = {key: str(value) for key, value in default_environment().items()}
    return {
        **host,
        "python_version": minor,
        "python_full_version": f"{minor}.0",
        "implementation_version": f"{minor}.0",
        "platform_machine": machine,
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
        "platform_release": "",
        "platform_version": "",
    }
