"""Steps for a service's database: role and database, schema, fixtures, rights."""

import json
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.files import private_writer
from backendai_ctl.seed.accounts import read_accounts, write_accounts
from backendai_ctl.seed.fixtures import tables_of
from backendai_ctl.seed.model import Finding, State
from backendai_ctl.seed.session import ACCOUNTS_SECRET, SeededDatabase
from backendai_ctl.seed.steps.cluster import fingerprint
from backendai_ctl.stores.local_server import find_local_server
from backendai_ctl.stores.postgresql import NoDatabaseError, RefusedError, sql_by_hand
from backendai_ctl.stores.trials import try_database

# Names of marks. The first says that this tool loads the fixtures, and with whose secret.
_ACCOUNTS = "accounts"
_DONE = "seeded"


@dataclass(frozen=True, kw_only=True)
class DatabaseStep:
    """The role and its database, on a server that fits them."""

    database: SeededDatabase
    name: str = "database"

    def inspect(self) -> Finding:
        """Log in; if that fails, report whether role and database can be created from here."""
        by_hand = sql_by_hand(self.database.data.service)
        try:
            self.database.connection.connect()
        except (NoDatabaseError, RefusedError) as error:
            server = find_local_server(self.database.target.addresses)
            if server is None:
                return Finding(
                    state=State.WAITING, detail=error.message, remedy=f"on its server: {by_hand}"
                )
            if isinstance(error, RefusedError) and server.has_role(self.database.target.user):
                if self._is_let_in():  # another node has just created it
                    return Finding(state=State.CREATE, detail=str(self.database.target))
                reason = f"{error.message}; the role has another password than this host has"
                return Finding(state=State.WAITING, detail=reason, remedy=f"to set it: {by_hand}")
            return Finding(state=State.CREATE, detail=str(self.database.target))
        self._check_server()
        return Finding(state=State.EXISTS, detail=str(self.database.target))

    def apply(self) -> None:
        """Create both as the server's own user."""
        server = find_local_server(self.database.target.addresses)
        if server is None:
            raise NotReadyError(f"{self.database.target}: its server went away")
        server.run_alone(self.database.sql)

    def _is_let_in(self) -> bool:
        try:
            self.database.connection.connect()
        except NoDatabaseError:
            return True
        except RefusedError:
            return False
        return True

    def _check_server(self) -> None:
        database, oldest = self.database.connection, self.database.data.postgresql
        version = int(database.value("SELECT current_setting('server_version_num')"))
        if version // 10000 < oldest:
            raise NotReadyError(
                f"{self.database.target}: PostgreSQL {version // 10000} is too old:"
                f" {self.database.data.distribution} {self.database.version} needs {oldest} or"
                " newer"
            )
        try_database(database, thorough=False)


@dataclass(frozen=True, kw_only=True)
class FixturesStep:
    """One fixture of the release, loaded once; existing rows stay unchanged."""

    database: SeededDatabase
    fixture: str

    @property
    def name(self) -> str:
        """The name in the plan."""
        return f"fixture {self.fixture}"

    def inspect(self) -> Finding:
        """Report whether it was loaded here, or somebody else filled the database."""
        known = state_of_accounts(self.database)
        if known is not None:
            return known
        at = self.database.marks.get(f"fixture/{self.fixture}")
        if at is not None:
            return Finding(state=State.EXISTS, detail=f"loaded from {at}")
        return Finding(state=State.CREATE)

    def apply(self) -> None:
        """Load it with the release's own command, and check that its tables have rows."""
        database = self.database
        if database.profile.accounts is not None and database.marks.get(_ACCOUNTS) is None:
            database.marks.set(_ACCOUNTS, _own_print(database))
        fixture = database.fixtures.files[self.fixture]
        path = database.layout.seed_state / f"fixture-{self.fixture}.json"
        private_writer().replace(path, json.dumps(fixture))
        try:
            database.cli.run("fixture", "populate", str(path))
        finally:
            path.unlink(missing_ok=True)
        for table in tables_of(fixture):
            if not has_rows(database, table):
                raise NotReadyError(
                    f"{database.target}: {table} is still empty", hint=f"see {database.cli.log}"
                )
        database.marks.set(f"fixture/{self.fixture}", database.version)


@dataclass(frozen=True, kw_only=True)
class CredentialsStep:
    """The file with the first accounts' passwords, written before any account exists."""

    database: SeededDatabase
    name: str = "credentials"

    def inspect(self) -> Finding:
        """Compare the file with the passwords that this host's secret gives."""
        maker = self.database.marks.get(_ACCOUNTS)
        if maker is None and has_accounts(self.database):
            return Finding(state=State.EXISTS, detail="accounts were there before")
        if maker not in (None, _own_print(self.database)):
            if self.database.marks.get(_DONE):
                reason = f"made by {self.database.marks.host(_ACCOUNTS)} with other secrets"
                return Finding(state=State.DIFFERS, detail=reason)
            return _others(self.database)
        path = credentials_path(self.database)
        if path.exists() and read_accounts(path) == list(self.database.fixtures.accounts):
            return Finding(state=State.EXISTS, detail=str(path))
        if path.exists() and self.database.marks.get(_DONE):
            return Finding(state=State.EXISTS, detail=str(path))
        return Finding(state=State.CREATE, detail=str(path))

    def apply(self) -> None:
        """Write the file, readable by root alone."""
        path = credentials_path(self.database)
        private_writer().ensure_folder(path.parent, mode=0o700)
        write_accounts(path, self.database.fixtures.accounts)


@dataclass(frozen=True, kw_only=True)
class FinishStep:
    """The mark that all is loaded; rows that are removed later are not loaded again."""

    database: SeededDatabase
    name: str = "finish"

    def inspect(self) -> Finding:
        """Report which release filled the database."""
        at = self.database.marks.get(_DONE)
        if at is not None:
            return Finding(state=State.EXISTS, detail=f"filled from {at}")
        if state_of_accounts(self.database) is not None:
            return Finding(state=State.EXISTS, detail="filled by somebody else")
        return Finding(state=State.CREATE)

    def apply(self) -> None:
        """Set the mark."""
        self.database.marks.set(_DONE, self.database.version)


def credentials_path(database: SeededDatabase) -> Path:
    """Return the file that holds the first accounts of this service."""
    return database.layout.credentials / f"{database.data.service}.toml"


def is_seeded(database: SeededDatabase) -> bool:
    """Whether an earlier run has filled the database completely."""
    return database.marks.get(_DONE) is not None


def state_of_accounts(database: SeededDatabase) -> Finding | None:
    """Return the finding that holds for all fixtures; None if each is inspected separately."""
    done = database.marks.get(_DONE)
    if done is not None:
        return Finding(state=State.EXISTS, detail=f"filled from {done}")
    maker = database.marks.get(_ACCOUNTS)
    if maker is None and has_accounts(database):
        return Finding(state=State.DIFFERS, detail="accounts were there before")
    if maker not in (None, _own_print(database)):
        return _others(database)
    return None


def has_accounts(database: SeededDatabase) -> bool:
    """Whether somebody has created accounts."""
    accounts = database.profile.accounts
    return accounts is not None and has_rows(database, accounts.users)


def has_rows(database: SeededDatabase, table: str) -> bool:
    """Whether a table of the service exists and is not empty."""
    if not database.connection.has_table(table):
        return False
    quoted = '"' + table.replace('"', '""') + '"'
    return bool(database.connection.value(f"SELECT EXISTS (SELECT FROM {quoted})"))


def _own_print(database: SeededDatabase) -> str:
    return fingerprint(ACCOUNTS_SECRET, database.deriver.secret)


def _others(database: SeededDatabase) -> Finding:
    host = database.marks.host(_ACCOUNTS)
    return Finding(
        state=State.WAITING,
        blocks=True,
        detail=f"{host} has begun to fill {database.target} with other secrets",
        remedy=f"finish it on {host}: sudo backendai-ctl seed apply",
    )
