"""Tries in each store the operations that a service needs, and undoes them.

A store that accepts connections may still refuse writes: etcd with an alarm, a PostgreSQL that
recovers or whose schema is another role's, a Redis that is a replica. ``thorough`` trials
write. The others only read what would prevent a write, for commands that are run often.
"""

import contextlib
import secrets
from collections.abc import Mapping

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import HostError, NotReadyError
from backendai_ctl.stores.etcd import Etcd
from backendai_ctl.stores.find_etcd import find_etcd
from backendai_ctl.stores.postgresql import Database
from backendai_ctl.stores.redis import Redis, addresses_of
from backendai_ctl.stores.remedies import Names, StoreKind, find_remedy
from backendai_ctl.stores.service_config import ServiceConfig

# The trial's key expires with its lease, even if this process is killed before revoking it.
_LEASE_SECONDS = 20
# Without Alembic's table a database is somebody else's, whose tables are no business of ours.
_STATE = """
SELECT pg_is_in_recovery() AS recovering,
       current_setting('transaction_read_only') = 'on' AS read_only,
       (SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE')
          FROM pg_namespace WHERE nspname = 'public') AS creates,
       (SELECT min(relname) FROM pg_class
         WHERE relnamespace = to_regnamespace('public') AND relkind IN ('r', 'p')
           AND to_regclass('public.alembic_version') IS NOT NULL
           AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
                    AND has_table_privilege(oid, 'UPDATE')
                    AND has_table_privilege(oid, 'DELETE'))) AS closed
"""


def try_stores(config: ServiceConfig, *, thorough: bool) -> None:
    """Try etcd and Redis if the service's configuration names them.

    Raises NotReadyError, whose hint is the remedy.
    """
    etcd = _etcd_of(config)
    if etcd is not None:
        try_etcd(etcd, thorough=thorough)
    for redis in (_redis_of_config(config), _redis_of_etcd(etcd) if etcd else None):
        if redis is not None:
            redis.try_work()


def try_etcd(etcd: Etcd, *, thorough: bool) -> None:
    """Check for alarms, and write a key that is removed again."""
    alarms = etcd.alarms()
    if alarms:
        found = ", ".join(sorted(alarms))
        raise NotReadyError(
            f"etcd on {etcd.address} has an alarm and takes no writes: {found}",
            hint=find_remedy(StoreKind.ETCD, message=found, names=Names(address=str(etcd.address))),
        )
    if thorough:
        etcd.try_write(f"backendai-ctl/trial/{secrets.token_hex(8)}", _LEASE_SECONDS)


def try_database(database: Database, *, thorough: bool) -> None:
    """Check what prevents writes, and create a table in a transaction that is rolled back."""
    (state,) = database.rows(_STATE)
    if state["recovering"]:
        raise database.fault("25006", "is in recovery: the server is a standby")
    if state["read_only"]:
        raise database.fault("25006", "is read-only: default_transaction_read_only is on")
    if state["creates"] is None:
        raise database.fault("3F000", "has no schema public")
    if not state["creates"]:
        raise database.fault("42501", "permission denied for schema public")
    if state["closed"] is not None:
        raise database.fault("42501", f"permission denied for table {state['closed']}")
    if thorough:
        table = f"backendai_ctl_trial_{secrets.token_hex(8)}"
        database.try_statements(
            f"CREATE TABLE public.{table} (number integer)",
            f"INSERT INTO public.{table} VALUES (1)",
        )


def _etcd_of(config: ServiceConfig) -> Etcd | None:
    try:
        config.get("etcd.addr")
    except HostError:
        return None
    return find_etcd(config)


def _redis_of_config(config: ServiceConfig) -> Redis | None:
    """Return the Redis that the service's own configuration names."""
    for section in ("redis", "session.redis"):
        found: dict[str, object] = {}
        with contextlib.suppress(HostError):
            table = config.get(section)
            found = dict(table) if isinstance(table, dict) else {}
        if not (found.get("addr") or found.get("sentinel")):
            continue
        is_sentinel = bool(found.get("sentinel"))
        addresses = config.addresses(f"{section}.{'sentinel' if is_sentinel else 'addr'}")
        if is_sentinel:
            return _redis(found, None, tuple(addresses))
        return _redis(found, addresses[0], ())
    return None


def _redis_of_etcd(etcd: Etcd) -> Redis | None:
    """Return the Redis that etcd names for the whole cluster; None before it is seeded."""
    found = etcd.list("config/redis/")
    values = {key.removeprefix("config/redis/"): value for key, value in found.items()}
    try:
        sentinels = addresses_of([text for text in values.get("sentinel", "").split(",") if text])
        address = addresses_of([values["addr"]])[0] if values.get("addr") else None
    except ValueError as error:
        raise NotReadyError(
            f"etcd on {etcd.address}: config/redis: {error}",
            hint="backend.ai mgr etcd put config/redis/addr HOST:PORT",
        ) from error
    if address is None and not sentinels:
        return None
    return _redis(values, address, sentinels)


def _redis(
    table: Mapping[str, object], address: Address | None, sentinels: tuple[Address, ...]
) -> Redis:
    """Return the Redis of a table that names passwords as the release does.

    Where there is no password of the Sentinels, the release sends them the server's.
    """
    of_sentinels = table.get("sentinel_password")
    return Redis(
        address=address,
        password=str(table.get("password") or ""),
        sentinels=sentinels,
        service_name=str(table.get("service_name") or "mymaster"),
        sentinel_password=str(
            (table.get("password") or "") if of_sentinels is None else of_sentinels
        ),
    )
