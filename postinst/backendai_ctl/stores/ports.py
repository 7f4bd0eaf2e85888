"""Checks whether a port is free, and whether something answers on it."""

import socket
import time
from collections.abc import Iterator

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.processes import is_running
from backendai_ctl.services.recipe import Recipe
from backendai_ctl.stores.service_config import ServiceConfig

_CONNECT_SECONDS = 3.0
_PAUSE_SECONDS = 0.5
# A wildcard is an address to listen on, not to connect to.
_REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1", "": "127.0.0.1"}


def check_port(layout: Layout, recipe: Recipe) -> None:
    """Raise NotReadyError if another process holds a port of the service or of its monitor."""
    config = ServiceConfig.load(layout, recipe)
    for key, address in own_addresses(config, recipe):
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address.host, address.port))
            except OSError as error:
                # -a: the holder may be an outgoing connection.
                raise NotReadyError(
                    f"{config.label}: {key} = {address}: cannot listen there: {error.strerror}",
                    hint=f"`ss -tanp 'sport = {address.port}'` shows the process that has the port",
                ) from error


def own_addresses(config: ServiceConfig, recipe: Recipe) -> Iterator[tuple[str, Address]]:
    """Yield the addresses where the service and its monitor listen, with their dotted keys."""
    if recipe.listens:
        for address in config.addresses(recipe.listens.key):
            yield recipe.listens.key, address
    monitor = recipe.monitor
    if monitor is None:
        return
    for key in monitor.ports:
        for _, port in config.matches(key):
            if isinstance(port, int):
                yield key, Address(host=monitor.host, port=port)


def wait_until_answering(
    layout: Layout,
    recipe: Recipe,
    *,
    seconds: float,
    main_pid: int | None,
) -> Address:
    """Wait until the service's port accepts a connection; return the address.

    Raises NotReadyError after ``seconds``, or at once when ``main_pid`` is gone.
    """
    key = recipe.listens.key if recipe.listens else ""
    address = ServiceConfig.load(layout, recipe).addresses(key)[0]
    until = time.monotonic() + seconds
    while not answers(address):
        if main_pid is not None and not is_running(main_pid):
            raise NotReadyError(f"{recipe.service} ended before it answered on {address}")
        if time.monotonic() >= until:
            raise NotReadyError(
                f"{recipe.service} does not answer on {address} after {seconds:g} s",
                hint=f"`journalctl -u backendai-{recipe.service}` shows what it waits for",
            )
        time.sleep(_PAUSE_SECONDS)
    return address


def answers(address: Address) -> bool:
    """Whether something accepts a connection at ``address``."""
    host = _REACHABLE.get(address.host, address.host)
    try:
        with socket.create_connection((host, address.port), timeout=_CONNECT_SECONDS):
            return True
    # UnicodeError: a name that no name server accepts, from an admin's own file.
    except (OSError, UnicodeError):
        return False
