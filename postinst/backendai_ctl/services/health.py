"""What the doctor reads from a recipe's [health]."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backendai_ctl.base.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class DockerVolume:
    """A volume of Docker that the service fills once, and never looks at again."""

    pattern: str
    holds: tuple[str, ...]
    # Containers with this label are sessions, which use the volume.
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
    """A request that a service obeys without any secret, of whoever reaches its port."""

    key: str  # of the listening file: true where it does
    says: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another service that this one passes requests on to, on whichever node."""

    key: str  # of the listening file, which has its addresses
    says: str
    remedy: str
    # A key that has to be true for it to be asked; what to say where it is not.
    where: str = ""
    unasked: str = ""
    unasked_remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Health:
    """What to look at beside units, ports and stores."""

    # Keys of the listening file: a * stands for any name; "parent" where it is the folder above.
    volumes: Mapping[str, str] = field(default_factory=dict)
    docker_volumes: tuple[DockerVolume, ...] = ()
    guarded_units: tuple[GuardedUnit, ...] = ()
    open_calls: tuple[OpenCall, ...] = ()
    peers: tuple[Peer, ...] = ()
    # What to do about a port that the release opens on every address.
    exposed: Mapping[str, str] = field(default_factory=dict)


_KEYS = {"volumes", "docker-volume", "guarded-unit", "open-call", "exposed", "peer"}


def parse_health(table: Mapping[str, Any]) -> Health:
    """Read a recipe's [health]; RecipeError where it is not as above."""
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
