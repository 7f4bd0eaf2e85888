"""The cluster's lock for filling or migrating a database: an advisory lock in the database.

PostgreSQL releases it when the holder's connection ends, however the holder ended.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.stores.postgresql import Database

# Every tool of these packages locks this one number: "backends" in ASCII.
LOCK_KEY = 0x6261636B656E6473
_PAUSE_SECONDS = 0.5
_TELL_SECONDS = 15.0
_HOLDER = """
SELECT coalesce(host(a.client_addr), 'this host') FROM pg_locks l
  JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND (l.classid::bigint << 32) | l.objid::bigint = $1 LIMIT 1
"""


@contextlib.contextmanager
def database_lock(
    database: Database, *, seconds: float, say: Callable[[str], None]
) -> Iterator[None]:
    """Hold the lock; NotReadyError if another process holds it for longer than ``seconds``."""
    until = time.monotonic() + seconds
    reported = 0.0
    while not database.value("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
        now = time.monotonic()
        holder = database.value(_HOLDER, LOCK_KEY) or "another node"
        if now >= until:
            raise NotReadyError(f"{database.target}: {holder} still works on it")
        if now - reported >= _TELL_SECONDS:
            say(f"{holder} works on {database.target}; waiting for it")
            reported = now
        time.sleep(_PAUSE_SECONDS)
    try:
        yield
    finally:
        with contextlib.suppress(NotReadyError):  # a lost connection has released it
            database.value("SELECT pg_advisory_unlock($1)", LOCK_KEY)


def check_lock(database: Database) -> None:
    """Raise NotReadyError if the connection that held the lock is gone."""
    held = database.value(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND pid = pg_backend_pid() AND objsubid = 1"
        " AND (classid::bigint << 32) | objid::bigint = $1",
        LOCK_KEY,
    )
    if not held:
        raise NotReadyError(f"{database.target}: the connection was lost in between")
