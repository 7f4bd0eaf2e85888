"""The doctor's view of a recipe's [health]."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backendai_ctl.base.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class DockerVolume:
    """A Docker volume that the service fills once and never checks again."""

    pattern: str
    holds: tuple[str, ...]
    # Containers with this label are sessions, and use the volume.
    session_label: str


@dataclass(frozen=True, kw_only=True)
class GuardedUnit:
    """A unit that is open to everybody while etcd lacks a key."""

    unit: str
    etcd: str
    says: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class OpenCall:
    """A request that a service executes without any secret for anyone who reaches its port."""

    key: str  # of the listening file: true if the service does so
    says: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another service, on any node, to which this one forwards requests."""

    key: str  # of the listening file: the other service's addresses
    says: str
    remedy: str
    # The key that must be true for requests to go there, and the message if it is not.
    where: str = ""
    unasked: str = ""
    unasked_remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Health:
    """The subjects that the doctor checks beside units, ports and stores."""

    # Keys of the listening file: * stands for any name; "parent" if the volume is the folder above.
    volumes: Mapping[str, str] = field(default_factory=dict)
    docker_volumes: tuple[DockerVolume, ...] = ()
    guarded_units: tuple[GuardedUnit, ...] = ()
    open_calls: tuple[OpenCall, ...] = ()
    peers: tuple[Peer, ...] = ()
    # The remedy for a port that the release opens on every address.
    exposed: Mapping[str, str] = field(default_factory=dict)


_KEYS = {"volumes", "docker-volume", "guarded-unit", "open-call", "exposed", "peer"}


def parse_health(table: Mapping[str, Any]) -> Health:
    """Parse a recipe's [health]; RecipeError if a key or value does not fit the types above."""
    unknown = ", ".join(sorted(set(table) - _KEYS))
    if unknown:
        raise RecipeError(f"a recipe's [health] has unknown keys: {unknown}")
    try:
        return Health(
            volumes={str(key): str(kind) for key, kind in table.get("volumes", {}).items()},
            docker_volumes=tuple(
                DockerVolume(
                    pattern=volume["pattern"],
                    holds=tuple(volume["holds"]),
                    session_label=volume["session-label"],
                )
                for volume in table.get("docker-volume", [])
            ),
            guarded_units=tuple(GuardedUnit(**unit) for unit in table.get("guarded-unit", [])),
            open_calls=tuple(OpenCall(**call) for call in table.get("open-call", [])),
            peers=tuple(
                Peer(**{key.replace("-", "_"): text for key, text in peer.items()})
                for peer in table.get("peer", [])
            ),
            exposed={str(port): str(text) for port, text in table.get("exposed", {}).items()},
        )
    except (KeyError, TypeError, AttributeError) as problem:
        raise RecipeError(f"a recipe's [health] is wrong: {problem!r}") from problem
