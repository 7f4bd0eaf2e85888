"""The services of this host and the stores that one seeding run works with."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from backendai_ctl.answers.resolve import Answers
from backendai_ctl.base.environment import use_environment
from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.registries.model import Registry, registries_of
from backendai_ctl.seed.accounts import Deriver
from backendai_ctl.seed.data import (
    SeedData,
    SeedProfile,
    installed_version,
    load_seed_data,
    seeded_services,
)
from backendai_ctl.seed.fixtures import Fixtures, Values, prepare
from backendai_ctl.seed.marks import Marks
from backendai_ctl.seed.releasecli import ReleaseCli
from backendai_ctl.services.recipe import Recipe, installed_services, load_recipe
from backendai_ctl.stores.etcd import Etcd
from backendai_ctl.stores.find_etcd import find_etcd
from backendai_ctl.stores.postgresql import Database, Target
from backendai_ctl.stores.schema_state import Schema, inspect_schema
from backendai_ctl.stores.service_config import ServiceConfig, as_configured

Say = Callable[[str], None]
ACCOUNTS_SECRET = "manager-accounts"


@dataclass(kw_only=True)
class SeededDatabase:
    """A service whose database is filled, with its connection and its release's data."""

    layout: Layout
    answers: Answers
    recipe: Recipe
    config: ServiceConfig
    data: SeedData
    version: str
    profile: SeedProfile
    target: Target
    connection: Database
    marks: Marks

    @cached_property
    def registries(self) -> tuple[Registry, ...]:
        """The registries that site.toml names."""
        return registries_of(self.answers.site)

    @cached_property
    def deriver(self) -> Deriver:
        """The source of the accounts' passwords and keys."""
        return Deriver(secret=self.answers.secrets.secret(ACCOUNTS_SECRET))

    @cached_property
    def fixtures(self) -> Fixtures:
        """The release's fixtures, prepared for this installation."""
        values = Values(
            # Without accounts no secret is needed, and none is created.
            deriver=self.deriver if self.profile.accounts else Deriver(secret=""),
            admin_email=str(self.answers.value("admin.email")),
            resolve=self.answers.resolve,
            registries=self.registries,
        )
        return prepare(self.layout.fixtures(self.data.service), self.profile, values)

    @property
    def sql(self) -> str:
        """The SQL that creates the role and the database of ``target``; it holds the password."""
        return as_configured(self.answers, self.recipe, self.config).fill(self.recipe.sql)

    def schema(self) -> Schema:
        """Return the schema of the database and that of the installed release."""
        return inspect_schema(self.connection, self.layout, self.data.service, self.data.alembic)

    def import_commands(self) -> None:
        """Import the release's commands; no secret is needed for that, and none is created."""
        self._cli(self.layout.seed_state).preload()

    @cached_property
    def cli(self) -> ReleaseCli:
        """The release's own commands, for a seeding run."""
        return self._cli(self.layout.seed_state, self._hidden())

    @cached_property
    def scan_cli(self) -> ReleaseCli:
        """The release's own commands, for a scan for images: it goes on beside seeding runs."""
        return self._cli(self.layout.scan_state, self._hidden())

    def _hidden(self) -> list[str]:
        hidden = [self.target.password, *self.answers.hidden()]
        for account in self.fixtures.accounts:
            hidden += [account.password, account.secret_key, account.access_key]
        return hidden

    def _cli(self, logs: Path, hidden: Sequence[str] = ()) -> ReleaseCli:
        listens = self.recipe.listens
        return ReleaseCli(
            layout=self.layout,
            data=self.data,
            config=self.layout.etc / (listens.file if listens else ""),
            log=logs / f"{self.data.service}.log",
            hidden=hidden,
        )


@dataclass(kw_only=True)
class Session:
    """The configured services of this host; services without a configuration are reported."""

    layout: Layout
    answers: Answers
    say: Say
    configs: Mapping[str, ServiceConfig] = field(default_factory=dict)
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    unconfigured: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, layout: Layout, answers: Answers, say: Say) -> "Session":
        """Read what is installed and configured on this host."""
        configs: dict[str, ServiceConfig] = {}
        recipes: dict[str, Recipe] = {}
        problems: dict[str, str] = {}
        for service in installed_services(layout):
            recipe = load_recipe(layout, service)
            if recipe.listens is None:
                continue
            try:
                configs[service] = ServiceConfig.load(layout, recipe)
                recipes[service] = recipe
            except TargetError as error:
                problems[service] = error.message
        private_writer().ensure_folder(layout.seed_state, mode=0o755)
        return cls(
            layout=layout,
            answers=answers,
            say=say,
            configs=configs,
            recipes=recipes,
            unconfigured=problems,
        )

    @cached_property
    def etcd(self) -> Etcd | None:
        """The cluster's etcd, as the first service here that uses it is configured."""
        for config in self.configs.values():
            with contextlib.suppress(TargetError):
                config.get("etcd.addr")
                return find_etcd(config)
        return None

    @contextlib.contextmanager
    def open_databases(self) -> Iterator[list[SeededDatabase]]:
        """Yield the services whose databases are filled; connections close with the block."""
        databases = [
            self._open(service)
            for service in seeded_services(self.layout)
            if service in self.configs
        ]
        try:
            yield databases
        finally:
            for database in databases:
                database.connection.close()

    def _open(self, service: str) -> SeededDatabase:
        data = load_seed_data(self.layout, service)
        version = installed_version(self.layout, data)
        use_environment(self.layout, service)  # whether to use TLS, and which CAs to trust
        target = Target.from_config(self.configs[service], data.database)
        connection = Database(target, service=service)
        return SeededDatabase(
            layout=self.layout,
            answers=self.answers,
            recipe=self.recipes[service],
            config=self.configs[service],
            data=data,
            version=version,
            profile=data.profile(version),
            target=target,
            connection=connection,
            marks=Marks(connection),
        )
