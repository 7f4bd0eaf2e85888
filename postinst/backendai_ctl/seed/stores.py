"""Waits, for a bounded time, until the stores that this host's services need answer."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import TargetError
from backendai_ctl.seed.session import SeededDatabase, Session
from backendai_ctl.stores.ports import answers
from backendai_ctl.stores.service_config import ServiceConfig
from backendai_ctl.stores.trials import try_stores

_PAUSE_SECONDS = 1.0
_TELL_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Store:
    """One store: its name, and the addresses of which one has to answer."""

    name: str
    addresses: tuple[Address, ...]

    def is_up(self) -> bool:
        """Whether one of its addresses accepts a connection."""
        return any(answers(address) for address in self.addresses)

    def __str__(self) -> str:
        return f"{self.name} on {', '.join(map(str, self.addresses))}"


def stores_of(session: Session, databases: Sequence[SeededDatabase]) -> list[Store]:
    """Return the stores without which no step here can run."""
    found: dict[str, Store] = {}
    for config in session.configs.values():
        addresses = _addresses(config, "etcd.addr")
        if addresses:
            store = Store(name="etcd", addresses=addresses)
            found.setdefault(str(store), store)
    for database in databases:
        store = Store(name="PostgreSQL", addresses=database.target.addresses)
        found.setdefault(str(store), store)
    return list(found.values())


def find_faults(session: Session) -> list[TargetError]:
    """Try etcd and Redis as each service here is configured; one error for each fault."""
    faults: dict[str, TargetError] = {}
    for config in session.configs.values():
        try:
            try_stores(config, thorough=True)
        except TargetError as error:
            faults.setdefault(error.message, error)
    return list(faults.values())


def wait_for(
    stores: Sequence[Store],
    seconds: float,
    say: Callable[[str], None],
    *,
    meanwhile: Callable[[], None],
) -> list[Store]:
    """Wait until all stores answer; return those that do not after ``seconds``.

    ``meanwhile`` is called again and again until then.
    """
    begin = time.monotonic()
    reported = begin
    away = [store for store in stores if not store.is_up()]
    while away and time.monotonic() - begin < seconds:
        if time.monotonic() - reported >= _TELL_SECONDS:
            left = seconds - (time.monotonic() - begin)
            say(f"waiting up to {left:.0f} s more for {'; '.join(map(str, away))}")
            reported = time.monotonic()
        meanwhile()
        time.sleep(_PAUSE_SECONDS)
        away = [store for store in away if not store.is_up()]
    return away


def _addresses(config: ServiceConfig, key: str) -> tuple[Address, ...]:
    try:
        return tuple(config.addresses(key))
    except TargetError:
        return ()
