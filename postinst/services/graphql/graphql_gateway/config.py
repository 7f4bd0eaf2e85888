"""The gateway's input: its own settings, and the subgraphs of the release."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql_gateway.errors import GatewayError

SETTINGS = Path("/etc/backend.ai/graphql.toml")
# Shipped beside this package.
SUBGRAPHS = Path(__file__).parent.parent / "subgraphs.toml"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings in the admin's file."""

    host: str
    port: int
    introspection: bool
    max_request_bytes: int
    manager_url: str
    timeout_seconds: float


@dataclass(frozen=True, kw_only=True)
class SubgraphSpec:
    """One of the manager's schemas: its address, and the source of its text."""

    name: str
    path: str
    schema: str  # MODULE:ATTRIBUTE of the release
    optional: bool = False  # older releases lack it
    open: bool = False  # answers without credentials


@dataclass(frozen=True, kw_only=True)
class ReleaseSpec:
    """What the schemas of a release are made of."""

    subgraphs: tuple[SubgraphSpec, ...]
    distributions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()  # folders of modules, below site-packages


def load_settings(path: Path) -> Settings:
    """Read the admin's file; GatewayError if it is not valid."""
    table = _read(path)
    try:
        gateway, manager = table["gateway"], table["manager"]
        address = gateway["address"]
        settings = Settings(
            host=address["host"],
            port=address["port"],
            introspection=gateway["introspection"],
            max_request_bytes=gateway["max-request-bytes"],
            manager_url=manager["url"].rstrip("/"),
            timeout_seconds=manager["timeout-seconds"],
        )
    except KeyError as error:
        raise GatewayError(f"{path}: has no {error.args[0]}") from error
    except (AttributeError, TypeError) as error:
        raise GatewayError(f"{path}: a value is not of its kind: {error}") from error
    _check(path, settings)
    return settings


def _check(path: Path, settings: Settings) -> None:
    """Check the types now: a wrong one would show only later, as a traceback for some request."""
    kinds: Mapping[str, type | tuple[type, ...]] = {
        "host": str,
        "port": int,
        "introspection": bool,
        "max_request_bytes": int,
        "timeout_seconds": (int, float),
    }
    for name, kind in kinds.items():
        if not isinstance(getattr(settings, name), kind):
            raise GatewayError(f"{path}: {name.replace('_', '-')} is not of its kind")
    if not settings.manager_url.startswith(("http://", "https://")):
        raise GatewayError(f"{path}: manager.url = '{settings.manager_url}' is not a URL")


def load_release(path: Path = SUBGRAPHS) -> ReleaseSpec:
    """Return the subgraphs that the package was built for, and what they are made of."""
    table = _read(path)
    try:
        return ReleaseSpec(
            subgraphs=tuple(SubgraphSpec(**entry) for entry in table["subgraph"]),
            **{name: tuple(values) for name, values in table.get("release", {}).items()},
        )
    except (KeyError, TypeError) as error:
        raise GatewayError(f"{path}: {error!r}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise GatewayError(f"{path}: {error}") from error
