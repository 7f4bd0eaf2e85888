"""The configuration that a service itself reads, and the addresses in it."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from backendai_ctl.answers.kinds import Address, Value
from backendai_ctl.answers.resolve import Answers
from backendai_ctl.base.environment import use_environment
from backendai_ctl.base.errors import HostError, RecipeError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.toml import read_table
from backendai_ctl.services.recipe import Recipe

_MAX_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """The configuration that the service itself reads, the admin's changes included."""

    label: str
    table: Mapping[str, object]

    @classmethod
    def load(cls, layout: Layout, recipe: Recipe) -> "ServiceConfig":
        """Read the file that ``recipe`` names as the one with the listening address."""
        if recipe.listens is None:
            raise RecipeError(f"the recipe of {recipe.service} does not say where it listens")
        path = layout.etc / recipe.listens.file
        table = read_table(path, hint=f"`sudo backendai-ctl configure {recipe.service}` makes it")
        # The environment of its PostgreSQL client is part of it, whichever process connects.
        use_environment(layout, recipe.service)
        return cls(label=str(path), table=table)

    def get(self, dotted: str) -> object:
        """Return the value at a dotted key; HostError if it is missing."""
        value: object = self.table
        for name in dotted.split("."):
            if not isinstance(value, dict) or name not in value:
                raise HostError(f"{self.label}: has no {dotted}")
            value = value[name]
        return value

    def matches(self, pattern: str) -> Iterator[tuple[str, object]]:
        """Yield each dotted key that fits ``pattern``, in which * is any name, and its value."""
        return _matches(self.table, pattern.split("."))

    def first(self, names: list[str]) -> str:
        """Return the first of the dotted keys that exists; the first of all if none does."""
        for dotted in names:
            with contextlib.suppress(HostError):
                self.get(dotted)
                return dotted
        return names[0]

    def addresses(self, dotted: str) -> list[Address]:
        """Return the addresses at a dotted key: one or a list, tables or HOST:PORT."""
        value = self.get(dotted)
        if isinstance(value, str):
            value = value.split(",")
        return [
            self._address(item, dotted) for item in (value if isinstance(value, list) else [value])
        ]

    def _address(self, item: object, dotted: str) -> Address:
        match item:
            case {"host": str(host), "port": int(port)} if 1 <= port <= _MAX_PORT:
                return Address(host=host, port=port)
            case {"ip": str(host), "port": int(port)} if 1 <= port <= _MAX_PORT:
                return Address(host=host, port=port)
            case str(text):
                try:
                    return _address_of_url(text) if "://" in text else Address.parse(text)
                except ValueError as error:
                    raise HostError(f"{self.label}: {dotted} = {text!r} is {error}") from error
        shown = item
        if isinstance(item, dict):  # a whole section may hold more than an address
            shown = {key: item[key] for key in ("host", "ip", "port") if key in item}
        raise HostError(f"{self.label}: {dotted} = {shown!r} is not an address")


def _matches(table: Mapping[str, object], names: list[str]) -> Iterator[tuple[str, object]]:
    head, *rest = names
    for key in table if head == "*" else [head]:
        value = table.get(key)
        if not rest and value is not None:
            yield key, value
        elif rest and isinstance(value, Mapping):
            yield from ((f"{key}.{below}", found) for below, found in _matches(value, rest))


AGENT_PAIR = "agent.rpc-auth-agent-keypair"
MANAGER_KEY = "agent.rpc-auth-manager-public-key"


def is_rpc_closed(config: ServiceConfig) -> bool:
    """Whether the agent with this configuration refuses callers without the manager's key."""
    try:
        return all(config.get(key) for key in (AGENT_PAIR, MANAGER_KEY))
    except HostError:
        return False


def _address_of_url(url: str) -> Address:
    """Return the host and port of a URL; ValueError if it has none."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    if not parts.hostname or not port:
        raise ValueError("not a URL with a host")
    return Address(host=parts.hostname, port=port)


def as_configured(answers: Answers, recipe: Recipe, config: ServiceConfig) -> Answers:
    """Return ``answers``, with values of the service's own configuration in place of site.toml's.

    An admin may have changed the configuration since it was made, and the service reads that.
    """
    listens = recipe.listens.file if recipe.listens else ""
    settings = {
        key: wanted["site"]
        for file in recipe.configs
        if file.file == listens
        for key, wanted in file.settings.items()
        if isinstance(wanted, dict) and set(wanted) == {"site"}
    }
    found: dict[str, Value] = dict(answers.overrides)
    for key, name in settings.items():
        with contextlib.suppress(HostError):  # an admin may also have removed the key
            value = config.get(key)
            if isinstance(value, str | int):
                found[str(name)] = value
    return replace(answers, overrides=found)
