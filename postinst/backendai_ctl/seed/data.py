"""The data that seeds a service's database, as its package ships it for every release line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backendai_ctl.base.errors import RecipeError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.toml import shipped_table
from backendai_ctl.services.release import find_version, newest_line, version_numbers

__all__ = [
    "Accounts",
    "Allowance",
    "Command",
    "Grant",
    "Registries",
    "SeedData",
    "SeedProfile",
    "Setting",
    "installed_version",
    "load_seed_data",
    "seeded_services",
    "version_numbers",  # upgrades compare the database with it
]


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """The tables of the fixtures that hold accounts, and the users active by default."""

    users: str
    keypairs: str
    # Columns of other tables that name a user by e-mail, or a key pair, as TABLE.COLUMN.
    emails: tuple[str, ...] = ()
    access_keys: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A column of a fixture's table that is set to an answer of this site in every row."""

    table: str
    column: str
    value: object


@dataclass(frozen=True, kw_only=True)
class Registries:
    """The table of image registries."""

    table: str
    since: tuple[int, ...]  # earlier releases have them in etcd


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """A list column of one row that names the registries that may be used."""

    table: str
    row: str
    column: str


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A JSON column of the fixtures' rows that lists volumes and the rights on them."""

    table: str
    key: str  # the column that identifies its rows
    column: str
    volumes: tuple[str, ...]
    permissions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Proxied:
    """The table of resource groups, whose rows name the app proxy and its token."""

    table: str
    address: str  # the columns
    token: str
    examples: tuple[str, ...]  # addresses in the release's fixtures, where nothing answers
    where: str  # the service that must be on this node
    to: object  # the values, as in a recipe
    by: object


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of the release that runs once, if the query ``wanted`` returns true."""

    name: str
    words: tuple[str, ...]
    wanted: str
    since: tuple[int, ...]  # the first release that has it
    restore: str = ""  # takes back changes to what was there before the time $1


@dataclass(frozen=True, kw_only=True)
class Listed:
    """The rows of a table that are registered in a scope."""

    type: str  # the release's name for the type of a row
    key: str = "id"  # the column with the row's number
    condition: str = "true"


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The scope whose members every user may read, and the tables that belong in it."""

    scope: str
    tables: Mapping[str, Listed]


@dataclass(frozen=True, kw_only=True)
class SeedProfile:
    """The data of one release line: its fixtures, and their adaptations to this site."""

    since: tuple[int, ...]
    fixtures: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()  # fixtures that some releases do not ship
    integers: tuple[str, ...] = ()  # TABLE.COLUMN of numbers that the fixtures have as text
    settings: tuple[Setting, ...] = ()
    accounts: Accounts | None = None
    registries: Registries | None = None
    allowances: tuple[Allowance, ...] = ()
    grants: tuple[Grant, ...] = ()
    proxied: Proxied | None = None
    commands: tuple[Command, ...] = ()
    shared: Shared | None = None
    schema_entry: str = ""  # MODULE:NAME of `schema oneshot`, where its group does not work

    def commands_of(self, version: str) -> list[Command]:
        """Return the commands that the release ``version`` has."""
        return [command for command in self.commands if command.since <= version_numbers(version)]


@dataclass(frozen=True, kw_only=True)
class SeedData:
    """The data that seeds one service's database."""

    service: str
    distribution: str
    database: str  # the section of the service's configuration
    alembic: str
    entry: str  # MODULE:FUNCTION of the release's commands, to call in this process
    command: tuple[str, ...]  # the same commands through the run script
    postgresql: int  # the oldest major version that the release works with
    rescan: bool  # whether its registries are scanned for images
    profiles: tuple[SeedProfile, ...]
    imports: tuple[str, ...] = ()  # modules of these commands, if the release has them

    def profile(self, version: str) -> SeedProfile:
        """Return the profile of ``version``'s line; RecipeError if it is older than all lines."""
        found = newest_line(self.profiles, lambda profile: profile.since, version)
        if found is None:
            raise RecipeError(f"{self.distribution} {version} is older than what can be seeded")
        return found


def seeded_services(layout: Layout) -> list[str]:
    """Return the installed services whose database this tool fills."""
    return sorted(path.stem for path in layout.seed_data.glob("*.toml"))


def load_seed_data(layout: Layout, service: str) -> SeedData:
    """Load the shipped data of ``service``; RecipeError if it is broken."""
    path = layout.seed_data / f"{service}.toml"
    with shipped_table(path, f"backendai-{service}") as table:
        return _data(service, table)


def installed_version(layout: Layout, data: SeedData) -> str:
    """Return the installed release; RecipeError if there is none."""
    version = find_version(layout, data.service, data.distribution)
    if version is None:
        raise RecipeError(
            f"{data.distribution} is not in {layout.prefix(data.service)}",
            hint=f"reinstall backendai-{data.service}",
        )
    return version


def _data(service: str, table: Mapping[str, Any]) -> SeedData:
    return SeedData(
        service=service,
        distribution=table["distribution"],
        database=table["database"],
        alembic=table["alembic"],
        entry=table["entry"],
        command=tuple(table["command"]),
        postgresql=int(table["postgresql"]),
        rescan=bool(table.get("rescan", False)),
        profiles=tuple(_profile(item) for item in table["line"]),
        imports=tuple(table.get("imports", ())),
    )


def _profile(table: Mapping[str, Any]) -> SeedProfile:
    fixtures = tuple(table.get("fixtures", ()))
    return SeedProfile(
        since=version_numbers(table["since"]),
        fixtures=tuple(name.rstrip("?") for name in fixtures),
        optional=frozenset(name.rstrip("?") for name in fixtures if name.endswith("?")),
        integers=tuple(table.get("integers", ())),
        settings=tuple(Setting(**item) for item in table.get("set", ())),
        accounts=_accounts(table["accounts"]) if "accounts" in table else None,
        registries=_registries(table["registries"]) if "registries" in table else None,
        allowances=tuple(Allowance(**item) for item in table.get("allow", ())),
        grants=tuple(grant for item in table.get("grant", ()) for grant in _grants(item)),
        proxied=_proxied(table["proxied"]) if "proxied" in table else None,
        commands=tuple(_command(item) for item in table.get("command", ())),
        shared=_shared(table["shared"]) if "shared" in table else None,
        schema_entry=str(table.get("schema-entry", "")),
    )


def _accounts(table: Mapping[str, Any]) -> Accounts:
    words = {key: tuple(table.get(key, ())) for key in ("emails", "access_keys")}
    return Accounts(**{**table, **words})


def _registries(table: Mapping[str, Any]) -> Registries:
    # The data of revision 1 says no release.
    return Registries(table=table["table"], since=version_numbers(table.get("since", "24.9")))


def _grants(table: Mapping[str, Any]) -> list[Grant]:
    words = {key: tuple(table[key]) for key in ("volumes", "permissions")}
    # A transaction may unpack this tool before the data; the data of revision 1 names one row.
    keys: Mapping[str, str] = table.get("keys") or {table["table"]: "name"}
    return [
        Grant(table=name, key=key, column=table["column"], **words) for name, key in keys.items()
    ]


def _proxied(table: Mapping[str, Any]) -> Proxied:
    return Proxied(**{**table, "examples": tuple(table["examples"])})


def _command(table: Mapping[str, Any]) -> Command:
    since = version_numbers(table["since"])
    return Command(**{**table, "words": tuple(table["words"]), "since": since})


def _shared(table: Mapping[str, Any]) -> Shared:
    tables = {name: Listed(**item) for name, item in table["tables"].items()}
    return Shared(scope=table["scope"], tables=tables)
