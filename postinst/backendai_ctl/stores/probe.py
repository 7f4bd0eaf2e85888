"""Tells whether a port is free, a service answers, and its stores are ready."""

import asyncio
import contextlib
import importlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from backendai_ctl.answers.questions import Address
from backendai_ctl.base.environment import use_environment
from backendai_ctl.base.errors import HostError, NotReadyError, RecipeError, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import is_active, unit_of
from backendai_ctl.base.toml import read_table
from backendai_ctl.services.recipe import Needs, Recipe
from backendai_ctl.stores.etcd import Etcd

_CONNECT_SECONDS = 3.0
_PAUSE_SECONDS = 0.5
_MAX_PORT = 65535
# The unit is started with the service that requires it.
_DOCKER = (
    "run/docker.sock",
    "usr/lib/systemd/system/docker.service",
    "lib/systemd/system/docker.service",
    "etc/systemd/system/docker.service",
)
# SQLSTATEs of a server that lets the role not in: wrong password, no such role, pg_hba.conf.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
REFUSED = ("28P01", "28000")
# A wildcard is where to listen, not where to connect.
_REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1", "": "127.0.0.1"}


@dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """The configuration that the service itself reads, the admin's changes included."""

    label: str
    table: Mapping[str, object]

    @classmethod
    def load(cls, layout: Layout, recipe: Recipe) -> "ServiceConfig":
        """Read the file that ``recipe`` says holds the address to listen on."""
        if recipe.listens is None:
            raise RecipeError(f"the recipe of {recipe.service} does not say where it listens")
        path = layout.etc / recipe.listens.file
        table = read_table(path, hint=f"`sudo backendai-ctl configure {recipe.service}` makes it")
        # What its PostgreSQL client reads is part of it, whoever asks the database.
        use_environment(layout, recipe.service)
        return cls(label=str(path), table=table)

    def get(self, dotted: str) -> object:
        """The value at a dotted key; HostError where it is missing."""
        value: object = self.table
        for name in dotted.split("."):
            if not isinstance(value, dict) or name not in value:
                raise HostError(f"{self.label}: has no {dotted}")
            value = value[name]
        return value

    def first(self, names: list[str]) -> str:
        """The first of the dotted keys that is there; the first of all where none is."""
        for dotted in names:
            with contextlib.suppress(HostError):
                self.get(dotted)
                return dotted
        return names[0]

    def addresses(self, dotted: str) -> list[Address]:
        """The addresses at a dotted key: one or a list, tables or HOST:PORT."""
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
        if isinstance(item, dict):  # the whole of a section may hold more than an address
            shown = {key: item[key] for key in ("host", "ip", "port") if key in item}
        raise HostError(f"{self.label}: {dotted} = {shown!r} is not an address")


def _address_of_url(url: str) -> Address:
    """Where a URL leads to; ValueError where it does not."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    if not parts.hostname or not port:
        raise ValueError("not a URL with a host")
    return Address(host=parts.hostname, port=port)


def check_port(layout: Layout, recipe: Recipe) -> None:
    """Raise NotReadyError where something else holds the port of the service."""
    config = ServiceConfig.load(layout, recipe)
    key = recipe.listens.key if recipe.listens else ""
    for address in config.addresses(key):
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address.host, address.port))
            except OSError as error:
                raise NotReadyError(
                    f"{config.label}: {key} = {address}: cannot listen there: {error.strerror}",
                    hint=f"`ss -ltnp 'sport = {address.port}'` shows who does",
                ) from error


def host_problems(layout: Layout, recipe: Recipe) -> list[str]:
    """What would keep the service from starting on this host, beside its stores."""
    found: list[str] = []
    checks: list[Callable[[], None]] = []
    if recipe.needs.docker:
        checks.append(lambda: check_docker(layout))
    # What runs holds its port itself.
    if recipe.listens and not is_active(unit_of(recipe.service)):
        checks.append(lambda: check_port(layout, recipe))
    for check in checks:
        try:
            check()
        except TargetError as error:
            found.append(f"{error.message}; {error.hint}" if error.hint else error.message)
    return found


def wait_until_answering(
    layout: Layout,
    recipe: Recipe,
    *,
    seconds: float,
    main_pid: int | None,
) -> Address:
    """Wait until the service's port takes a connection; returns the address.

    Raises NotReadyError after ``seconds``, or at once when ``main_pid`` is gone.
    """
    key = recipe.listens.key if recipe.listens else ""
    address = ServiceConfig.load(layout, recipe).addresses(key)[0]
    until = time.monotonic() + seconds
    while not answers(address):
        if main_pid is not None and not _is_running(main_pid):
            raise NotReadyError(f"{recipe.service} ended before it answered on {address}")
        if time.monotonic() >= until:
            raise NotReadyError(
                f"{recipe.service} does not answer on {address} after {seconds:g} s",
                hint=f"`journalctl -u backendai-{recipe.service}` shows what it waits for",
            )
        time.sleep(_PAUSE_SECONDS)
    return address


def check_needs(layout: Layout, recipe: Recipe) -> None:
    """Raise NotReadyError unless a first start makes sense: stores there, schema in."""
    if recipe.needs == Needs():
        return
    config = ServiceConfig.load(layout, recipe)
    if recipe.needs.docker:
        check_docker(layout)
    for dotted in recipe.needs.folders:
        folder = str(config.get(dotted))
        if not (layout.root / folder.lstrip("/")).is_dir():
            raise NotReadyError(f"{config.label}: {dotted} = {folder}: no such folder")
    for alternatives in recipe.needs.tcp:
        dotted = config.first(alternatives.split("|"))
        addresses = config.addresses(dotted)
        if not any(answers(address) for address in addresses):
            listed = ", ".join(map(str, addresses))
            raise NotReadyError(f"nothing answers on {listed} ({config.label}: {dotted})")
    if recipe.needs.etcd:
        _check_keys(config, recipe.needs.etcd)
    if recipe.needs.database is not None:
        asyncio.run(_check_schema(config, recipe))


def check_docker(layout: Layout) -> None:
    """Raise NotReadyError where the host has neither Docker's socket nor its unit."""
    if not any((layout.root / path).exists() for path in _DOCKER):
        raise NotReadyError(
            "this host has no Docker, which runs the sessions",
            hint="install docker.io, docker-ce or moby-engine",
        )


def find_etcd(config: ServiceConfig) -> Etcd:
    """The first member that answers, of those that the service's configuration names."""
    addresses = config.addresses("etcd.addr")
    return Etcd(
        address=next((one for one in addresses if answers(one)), addresses[0]),
        namespace=str(config.get("etcd.namespace")),
        user=str(config.get("etcd.user")),
        password=str(config.get("etcd.password")),
    )


def _check_keys(config: ServiceConfig, keys: tuple[str, ...]) -> None:
    """Raise NotReadyError unless the first member that answers has every key.

    One that ends with a slash stands for any key below it.
    """
    etcd = find_etcd(config)
    for alternatives in keys:
        names = alternatives.split("|")
        if not any(etcd.list(key) if key.endswith("/") else etcd.has(key) for key in names):
            raise NotReadyError(f"etcd on {etcd.address} has no {' or '.join(names)} yet")


def sql_by_hand(service: str) -> str:
    """The command that makes the service's role and database, or mends them, on their server."""
    return f"sudo backendai-ctl sql {service} | sudo -u postgres psql -v ON_ERROR_STOP=1"


async def _check_schema(config: ServiceConfig, recipe: Recipe) -> None:
    section = recipe.needs.database
    # Only the service's own CPython has it.
    asyncpg = importlib.import_module("asyncpg")
    address = config.addresses(f"{section}.addr")[0]
    name = config.get(f"{section}.name")
    try:
        connection = await asyncpg.connect(
            host=address.host,
            port=address.port,
            user=config.get(f"{section}.user"),
            password=config.get(f"{section}.password"),
            database=name,
            timeout=_CONNECT_SECONDS,
        )
    # Every kind of failure (network, TLS, password, no such database) means the same here.
    except Exception as error:
        hint = None
        if getattr(error, "sqlstate", None) in REFUSED:
            hint = f"give the role this host's password: {sql_by_hand(recipe.service)}"
        raise NotReadyError(f"database '{name}' on {address}: {error}", hint=hint) from error
    try:
        found = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", recipe.needs.table)
    finally:
        await connection.close()
    if not found:
        raise NotReadyError(f"database '{name}' on {address} has no schema yet")


def answers(address: Address) -> bool:
    """Whether something takes a connection there."""
    host = _REACHABLE.get(address.host, address.host)
    try:
        with socket.create_connection((host, address.port), timeout=_CONNECT_SECONDS):
            return True
    # UnicodeError: a name that no name server takes, from an admin's own file.
    except (OSError, UnicodeError):
        return False


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
