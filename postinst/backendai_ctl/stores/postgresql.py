"""One connection to a service's database, used between calls of the release's own commands."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.libraries import load_library
from backendai_ctl.stores.remedies import Names, StoreKind, find_remedy
from backendai_ctl.stores.service_config import ServiceConfig

_CONNECT_SECONDS = 10.0
# A lock is polled, so no statement of this tool takes long.
_COMMAND_SECONDS = 60.0
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_NO_DATABASE = "3D000"
_REFUSED = ("28P01", "28000")  # wrong password, no such role, pg_hba.conf
T = TypeVar("T")


class NoDatabaseError(NotReadyError):
    """The server answers, but has no such database."""


class RefusedError(NotReadyError):
    """The server does not let the role in: wrong password, no such role, or pg_hba.conf."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A database, and the role that logs in to it; of several servers, one is the primary."""

    addresses: tuple[Address, ...]
    name: str
    user: str
    password: str

    @classmethod
    def from_config(cls, config: ServiceConfig, section: str) -> "Target":
        """Return the target in the service's own configuration, the admin's changes included."""
        # Of several servers, the release reads `addrs` alone.
        key = config.first([f"{section}.addrs", f"{section}.addr"])
        return cls._at(config, section, config.addresses(key))

    @classmethod
    def of_one(cls, config: ServiceConfig, section: str, address: Address) -> "Target":
        """Return the same database on one of its servers."""
        return cls._at(config, section, [address])

    @classmethod
    def _at(cls, config: ServiceConfig, section: str, addresses: Sequence[Address]) -> "Target":
        return cls(
            addresses=tuple(addresses),
            name=str(config.get(f"{section}.name")),
            user=str(config.get(f"{section}.user")),
            password=str(config.get(f"{section}.password")),
        )

    @property
    def servers(self) -> str:
        """Its servers as messages name them."""
        return ", ".join(map(str, self.addresses))

    def __str__(self) -> str:
        return f"database '{self.name}' on {self.servers}"


def sql_by_hand(service: str) -> str:
    """Return the command that creates or corrects the service's role and database."""
    return f"sudo backendai-ctl sql {service} | sudo -u postgres psql -v ON_ERROR_STOP=1"


class Database:
    """A connection in an event loop of its own, so that other loops can run between calls."""

    def __init__(
        self,
        target: Target,
        *,
        connect_seconds: float = _CONNECT_SECONDS,
        service: str = "SERVICE",
    ) -> None:
        self.target = target
        self._service = service  # named in remedies
        self._connect_seconds = connect_seconds
        self._loop = asyncio.new_event_loop()
        self._connection: Any = None

    def connect(self) -> None:
        """Log in; raise NoDatabaseError, RefusedError, or NotReadyError for any other failure."""
        if self._connection is not None and not self._connection.is_closed():
            return
        several = len(self.target.addresses) > 1
        standbys = 0
        failure: Exception | None = None
        for address in self.target.addresses:
            try:
                self._connection = self._loop.run_until_complete(self._log_in(address))
                if not several or not self.value("SELECT pg_is_in_recovery()"):
                    return
                standbys += 1
                self._connection.terminate()
            # Failures of any kind: network, TLS, password, a server that is still starting.
            except Exception as error:
                # A server's own words say more than that another one does not answer.
                if failure is None or _state_of(error):
                    failure = error
            self._connection = None
        if failure is None:
            raise self.fault("25006", f"is in recovery: all {standbys} servers are standbys")
        raise self.fault(_state_of(failure), _words(failure)) from failure

    async def _log_in(self, address: Address) -> Any:
        asyncpg = load_library("asyncpg")
        return await asyncpg.connect(
            host=address.host,
            port=address.port,
            user=self.target.user,
            password=self.target.password,
            database=self.target.name,
            timeout=self._connect_seconds,
            command_timeout=_COMMAND_SECONDS,
            server_settings={"application_name": "backendai-ctl"},
        )

    def close(self) -> None:
        """Close the connection, which releases its locks."""
        if self._connection is not None:
            self._connection.terminate()
            # The transport closes in the next turn of the loop.
            self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def value(self, statement: str, *arguments: object) -> Any:
        """Return the first column of the first row; NotReadyError if the server refuses."""
        return self._do(self._live().fetchval(statement, *arguments))

    def rows(self, statement: str, *arguments: object) -> Sequence[Any]:
        """Return every row."""
        rows: Sequence[Any] = self._do(self._live().fetch(statement, *arguments))
        return rows

    def has_table(self, name: str) -> bool:
        """Whether a table with this name exists."""
        return not self.value("SELECT to_regclass($1) IS NULL", name)

    def execute(self, *statements: tuple[str, Sequence[object]]) -> None:
        """Run all statements in one transaction."""

        async def run(connection: Any) -> None:
            async with connection.transaction():
                for statement, arguments in statements:
                    await connection.execute(statement, *arguments)

        self._do(run(self._live()))

    def try_statements(self, *statements: str) -> None:
        """Run all statements in one transaction, and roll it back."""

        async def run(connection: Any) -> None:
            transaction = connection.transaction()
            await transaction.start()
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await transaction.rollback()

        self._do(run(self._live()))

    def _live(self) -> Any:
        self.connect()
        return self._connection

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._loop.run_until_complete(work)
        except Exception as error:
            raise self.fault(_state_of(error), _words(error)) from error

    def fault(self, state: str, words: str) -> NotReadyError:
        """Return the error for a SQLSTATE, with its remedy as the hint."""
        names = Names(
            address=self.target.servers,
            database=self.target.name,
            role=self.target.user,
            service=self._service,
        )
        hint = find_remedy(StoreKind.POSTGRESQL, code=state, message=words, names=names)
        kind = NotReadyError
        if state == _NO_DATABASE:
            kind = NoDatabaseError
        elif state in _REFUSED:
            kind = RefusedError
        return kind(f"{self.target}: {words}", hint=hint if state else None)


def _state_of(error: Exception) -> str:
    """Return the SQLSTATE; empty if the error is not the server's."""
    return str(getattr(error, "sqlstate", None) or "")


def _words(error: Exception) -> str:
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return "does not answer in time"
    # asyncpg puts neither the statement nor its values into the text.
    return str(error).strip() or type(error).__name__
