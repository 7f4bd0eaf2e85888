"""Recipes: the data that a service's package ships about its configuration, stores and health."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from backendai_ctl.answers.constraints import Constraint
from backendai_ctl.answers.resolve import is_tree
from backendai_ctl.base.errors import RecipeError, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.toml import as_list, as_table, as_words, shipped_table
from backendai_ctl.services.health import Health, parse_health
from backendai_ctl.services.release import Numbers, find_version, newest_line, version_numbers


@dataclass(frozen=True, kw_only=True)
class Listens:
    """The place in the service's own configuration that has its listening address."""

    file: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """The task monitor of a service: the keys of its ports in the listening file, and its host."""

    ports: tuple[str, ...]
    host: str = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Needs:
    """The stores that must answer before a first start makes sense; keys of the listening file."""

    tcp: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    docker: bool = False
    etcd: tuple[str, ...] = ()  # keys in etcd itself
    database: str | None = None
    table: str = ""


@dataclass(frozen=True, kw_only=True)
class Tls:
    """The keys of the listening file that say whether clients reach the service by TLS."""

    enabled: str
    certificate: str
    key: str
    # Of a login page: "https" here means that a proxy in front of the service does it.
    proxied: str = ""


@dataclass(frozen=True, kw_only=True)
class Override:
    """Settings of one release line, in addition to the common ones: in etcd, or in one file."""

    since: Numbers
    etcd: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    model: str | None = None
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ConfigRecipe:
    """One configuration file: the settings to write into its sample, and the keys to remove.

    With a ``template``, a path below /usr/lib/backendai, the answers fill the template instead.
    """

    file: str
    settings: Mapping[str, object]
    remove: tuple[str, ...] = ()
    template: str | None = None
    # MODULE:CLASS of the release that validates the file.
    model: str | None = None
    # Whether a later release or package may replace the file if nobody has edited it.
    renewed: bool = False
    overrides: tuple[Override, ...] = ()

    def of_release(self, version: str | None) -> "ConfigRecipe":
        """Return the recipe with the additions of ``version``'s line."""
        override = _override_of(self.overrides, version)
        return replace(
            self,
            settings={**self.settings, **override.settings},
            remove=(*self.remove, *override.remove),
            model=override.model or self.model,
            overrides=(),
        )


@dataclass(frozen=True, kw_only=True)
class FolderRecipe:
    """A folder of the account's that an answer names, and the initial files of a new one."""

    site: str
    files: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Reserved:
    """The answers that take something of this host from its sessions, or give it to them."""

    cpu: str
    memory: str
    ports: str


@dataclass(frozen=True, kw_only=True)
class FirstStart:
    """A server that imports its modules while its stores are filled."""

    entry: str  # MODULE:FUNCTION that is the server
    imports: tuple[str, ...] = ()  # what its workers import, too


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All data about one service."""

    service: str
    configs: tuple[ConfigRecipe, ...]
    listens: Listens | None
    needs: Needs
    sql: str
    steps: str
    # The values that the cluster needs from this service, below keys of etcd.
    etcd: Mapping[str, object]
    folders: tuple[FolderRecipe, ...]
    constraints: tuple[Constraint, ...] = ()
    health: Health = field(default_factory=Health)
    distribution: str = ""  # the distribution whose version selects the release line
    overrides: tuple[Override, ...] = ()
    monitor: Monitor | None = None
    tls: Tls | None = None  # of a service that shows the certificate of site.toml
    reserved: Reserved | None = None
    first_start: FirstStart | None = None
    # The way to derive an answer from this host where it is empty.
    derive: Mapping[str, str] = field(default_factory=dict)
    uses_registries: bool = False  # whether it uses the image registries of site.toml

    def of_release(self, version: str | None) -> "Recipe":
        """Return the recipe with the additions of ``version``'s line."""
        override = _override_of(self.overrides, version)
        return replace(
            self,
            configs=tuple(config.of_release(version) for config in self.configs),
            constraints=(*self.constraints, *override.constraints),
            etcd=_joined(self.etcd, override.etcd),
            overrides=(),
        )


def load_recipe(layout: Layout, service: str) -> Recipe:
    """Load the recipe that the package of ``service`` shipped, for its release."""
    path = layout.recipes / f"{service}.toml"
    if not path.exists():
        known = ", ".join(installed_services(layout)) or "none"
        raise TargetError(f"no service '{service}' is installed here", hint=f"installed: {known}")
    with shipped_table(path, f"backendai-{service}") as table:
        recipe = _recipe(table)
    return recipe.of_release(find_version(layout, service, recipe.distribution))


def _override_of(overrides: tuple[Override, ...], version: str | None) -> Override:
    """Return the newest line that ``version`` has reached; the newest of all if it is None.

    The version is unknown in an image that is being built, and in a test.
    """
    if version is None:
        found = max(overrides, key=lambda override: override.since, default=None)
    else:
        found = newest_line(overrides, lambda override: override.since, version)
    return found or Override(since=())


def _joined(tree: Mapping[str, object], other: Mapping[str, object]) -> Mapping[str, object]:
    """Return both trees merged; on conflict the value of ``other`` holds."""
    found = dict(tree)
    for key, value in other.items():
        known = found.get(key)
        both = is_tree(value) and is_tree(known)
        found[key] = _joined(known, value) if both else value  # type: ignore[arg-type]
    return found


def installed_services(layout: Layout) -> list[str]:
    """Return the names of the services whose packages installed a recipe."""
    return sorted(path.stem for path in layout.recipes.glob("*.toml"))


_KEYS = {
    "service",
    "distribution",
    "listens",
    "monitor",
    "needs",
    "config",
    "sql",
    "steps",
    "etcd",
    "folder",
    "constraint",
    "health",
    "line",
    "registries",
    "tls",
    "reserved",
    "derive",
    "first-start",
}
# Keys of revision 1 that mean nothing now: rpm installs this tool before the services, whose
# former recipes are read until their own packages follow.
_FORMER_KEYS = {"demand"}


def _recipe(table: Mapping[str, object]) -> Recipe:
    unknown = set(table) - _KEYS - _FORMER_KEYS
    if unknown:
        raise TypeError(f"unknown keys: {', '.join(sorted(unknown))}")
    needs = as_table(table.get("needs", {}))
    listens = table.get("listens")
    tls, reserved = table.get("tls"), table.get("reserved")
    return Recipe(
        service=str(table["service"]),
        configs=tuple(_config(as_table(item)) for item in as_list(table["config"])),
        listens=Listens(**as_table(listens)) if listens else None,  # type: ignore[arg-type]
        monitor=_monitor(as_table(table["monitor"])) if "monitor" in table else None,
        tls=Tls(**as_table(tls)) if tls else None,  # type: ignore[arg-type]
        reserved=Reserved(**as_table(reserved)) if reserved else None,  # type: ignore[arg-type]
        first_start=_first_start(as_table(table.get("first-start", {}))),
        derive={name: str(way) for name, way in as_table(table.get("derive", {})).items()},
        needs=Needs(
            tcp=as_words(needs.get("tcp", [])),
            folders=as_words(needs.get("folders", [])),
            docker=bool(needs.get("docker", False)),
            etcd=as_words(needs.get("etcd", [])),
            database=str(needs["database"]) if "database" in needs else None,
            table=str(needs.get("table", "")),
        ),
        sql=str(table.get("sql", "")),
        steps=str(table.get("steps", "")),
        etcd=as_table(table.get("etcd", {})),
        folders=tuple(_folder(as_table(item)) for item in as_list(table.get("folder", []))),
        health=parse_health(as_table(table.get("health", {}))),
        distribution=str(table.get("distribution", "")),
        overrides=_overrides(table),
        uses_registries=bool(table.get("registries", False)),
        constraints=_constraints(table),
    )


def _monitor(table: Mapping[str, object]) -> Monitor:
    return Monitor(ports=as_words(table["ports"]), host=str(table.get("host", Monitor.host)))


def _first_start(table: Mapping[str, object]) -> FirstStart | None:
    if not table:
        return None
    return FirstStart(entry=str(table["entry"]), imports=as_words(table.get("imports", [])))


def _folder(table: Mapping[str, object]) -> FolderRecipe:
    files = as_table(table.get("files", {}))
    return FolderRecipe(
        site=str(table["site"]), files={name: str(text) for name, text in files.items()}
    )


def _constraints(table: Mapping[str, object]) -> tuple[Constraint, ...]:
    return tuple(_constraint(item) for item in as_list(table.get("constraint", [])))


def _constraint(item: object) -> Constraint:
    table = as_table(item)
    return Constraint(
        site=str(table["site"]), rule=str(table["rule"]), message=str(table["message"])
    )


def _config(table: Mapping[str, object]) -> ConfigRecipe:
    return ConfigRecipe(
        file=str(table["file"]),
        settings=as_table(table.get("set", {})),
        remove=as_words(table.get("remove", [])),
        template=str(table["template"]) if "template" in table else None,
        model=_model(table),
        renewed=bool(table.get("renewed", False)),
        overrides=_overrides(table),
    )


def _overrides(table: Mapping[str, object]) -> tuple[Override, ...]:
    return tuple(_override(as_table(item)) for item in as_list(table.get("line", [])))


def _override(table: Mapping[str, object]) -> Override:
    return Override(
        since=version_numbers(str(table["since"])),
        etcd=as_table(table.get("etcd", {})),
        settings=as_table(table.get("set", {})),
        remove=as_words(table.get("remove", [])),
        model=_model(table),
        constraints=_constraints(table),
    )


def _model(table: Mapping[str, object]) -> str | None:
    return str(table["model"]) if "model" in table else None


def read_sample(layout: Layout, service: str, config: ConfigRecipe) -> str:
    """Return the sample of a configuration file: the installed release's, or the package's own."""
    path: Path = layout.samples(service) / config.file
    if config.template:
        path = layout.shipped / config.template
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"cannot read the sample {path}: {error}", hint=f"reinstall backendai-{service}"
        ) from error
