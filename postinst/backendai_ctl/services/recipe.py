"""Recipes: how a service's configuration is made from its samples, as shipped data."""

import platform
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from backendai_ctl.answers.constraints import Constraint
from backendai_ctl.answers.questions import Address, Value, is_loopback
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import Site
from backendai_ctl.base.errors import RecipeError, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.toml import shipped_table
from backendai_ctl.services.health import Health, parse_health
from backendai_ctl.services.release import Numbers, find_version, newest_line, version_numbers

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9.-]*)(?:!([a-z]+))?\}")


def _sql_text(text: str) -> str:
    # E'' so that a backslash means the same whatever standard_conforming_strings says.
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _sql_name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


_QUOTES: Mapping[str, Callable[[str], str]] = {
    "url": lambda text: quote(text, safe=""),
    "name": _sql_name,
    "text": _sql_text,
    # Inside double quotes of a configuration of Redis or Valkey.
    "conf": lambda text: text.replace("\\", "\\\\").replace('"', '\\"'),
    "plain": str,
}


@dataclass(frozen=True, kw_only=True)
class Listens:
    """Where the service's own configuration says which address it listens on."""

    file: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What must answer before a first start makes sense; keys of the listening file."""

    tcp: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    docker: bool = False
    etcd: tuple[str, ...] = ()  # keys of etcd itself
    database: str | None = None
    table: str = ""


@dataclass(frozen=True, kw_only=True)
class Override:
    """What is of one release line, beside what all have in common: in etcd, or in one file."""

    since: Numbers
    etcd: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class ConfigRecipe:
    """One configuration file: what is set in, and removed from, its sample.

    With a ``template``, a path below /usr/lib/backendai, the settings fill that instead.
    """

    file: str
    settings: Mapping[str, object]
    remove: tuple[str, ...] = ()
    template: str | None = None
    # MODULE:CLASS of the release that reads the file.
    model: str | None = None
    # Whether a later release, or package, may make it anew where nobody has edited it.
    renewed: bool = False
    overrides: tuple[Override, ...] = ()

    def of_release(self, version: str | None) -> "ConfigRecipe":
        """With what the line of ``version`` adds."""
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
    """A folder of the account's that an answer names, and what a new one begins with."""

    site: str
    files: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that the tool knows of one service."""

    service: str
    configs: tuple[ConfigRecipe, ...]
    listens: Listens | None
    needs: Needs
    sql: str
    steps: str
    # What the cluster has to know of this service, below keys of etcd.
    etcd: Mapping[str, object]
    folders: tuple[FolderRecipe, ...]
    constraints: tuple[Constraint, ...] = ()
    health: Health = field(default_factory=Health)
    distribution: str = ""  # whose version says which line holds
    overrides: tuple[Override, ...] = ()
    uses_registries: bool = False  # of images, as site.toml names them

    def of_release(self, version: str | None) -> "Recipe":
        """With what the line of ``version`` adds."""
        return replace(
            self,
            configs=tuple(config.of_release(version) for config in self.configs),
            etcd=_joined(self.etcd, _override_of(self.overrides, version).etcd),
            overrides=(),
        )


def load_recipe(layout: Layout, service: str) -> Recipe:
    """The recipe that the package of ``service`` shipped, for its release."""
    path = layout.recipes / f"{service}.toml"
    if not path.exists():
        known = ", ".join(installed_services(layout)) or "none"
        raise TargetError(f"no service '{service}' is installed here", hint=f"installed: {known}")
    with shipped_table(path, f"backendai-{service}") as table:
        recipe = _recipe(table)
    return recipe.of_release(find_version(layout, service, recipe.distribution))


def _override_of(overrides: tuple[Override, ...], version: str | None) -> Override:
    """The line that ``version`` has reached; the newest where nobody knows the release.

    So it is in an image that is being built, and in a test.
    """
    if version is None:
        found = max(overrides, key=lambda override: override.since, default=None)
    else:
        found = newest_line(overrides, lambda override: override.since, version)
    return found or Override(since=())


def _joined(tree: Mapping[str, object], other: Mapping[str, object]) -> Mapping[str, object]:
    """Both trees in one; what both have is of ``other``."""
    found = dict(tree)
    for key, value in other.items():
        known = found.get(key)
        both = _is_tree(value) and _is_tree(known)
        found[key] = _joined(known, value) if both else value  # type: ignore[arg-type]
    return found


def installed_services(layout: Layout) -> list[str]:
    """Names of the services whose packages brought a recipe."""
    return sorted(path.stem for path in layout.recipes.glob("*.toml"))


_KEYS = {
    "service",
    "distribution",
    "listens",
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
}


def _recipe(table: Mapping[str, object]) -> Recipe:
    unknown = set(table) - _KEYS
    if unknown:
        raise TypeError(f"unknown keys: {', '.join(sorted(unknown))}")
    needs = _table(table.get("needs", {}))
    listens = table.get("listens")
    return Recipe(
        service=str(table["service"]),
        configs=tuple(_config(_table(item)) for item in _list(table["config"])),
        listens=Listens(**_table(listens)) if listens else None,  # type: ignore[arg-type]
        needs=Needs(
            tcp=_words(needs.get("tcp", [])),
            folders=_words(needs.get("folders", [])),
            docker=bool(needs.get("docker", False)),
            etcd=_words(needs.get("etcd", [])),
            database=str(needs["database"]) if "database" in needs else None,
            table=str(needs.get("table", "")),
        ),
        sql=str(table.get("sql", "")),
        steps=str(table.get("steps", "")),
        etcd=_table(table.get("etcd", {})),
        folders=tuple(_folder(_table(item)) for item in _list(table.get("folder", []))),
        health=parse_health(_table(table.get("health", {}))),
        distribution=str(table.get("distribution", "")),
        overrides=_overrides(table),
        uses_registries=bool(table.get("registries", False)),
        constraints=tuple(_constraint(_table(item)) for item in _list(table.get("constraint", []))),
    )


def _folder(table: Mapping[str, object]) -> FolderRecipe:
    files = _table(table.get("files", {}))
    return FolderRecipe(
        site=str(table["site"]), files={name: str(text) for name, text in files.items()}
    )


def _constraint(table: Mapping[str, object]) -> Constraint:
    return Constraint(
        site=str(table["site"]), rule=str(table["rule"]), message=str(table["message"])
    )


def _config(table: Mapping[str, object]) -> ConfigRecipe:
    return ConfigRecipe(
        file=str(table["file"]),
        settings=_table(table["set"]),
        remove=_words(table.get("remove", [])),
        template=str(table["template"]) if "template" in table else None,
        model=_model(table),
        renewed=bool(table.get("renewed", False)),
        overrides=_overrides(table),
    )


def _overrides(table: Mapping[str, object]) -> tuple[Override, ...]:
    return tuple(_override(_table(item)) for item in _list(table.get("line", [])))


def _override(table: Mapping[str, object]) -> Override:
    return Override(
        since=version_numbers(str(table["since"])),
        etcd=_table(table.get("etcd", {})),
        settings=_table(table.get("set", {})),
        remove=_words(table.get("remove", [])),
        model=_model(table),
    )


def _model(table: Mapping[str, object]) -> str | None:
    return str(table["model"]) if "model" in table else None


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"a table is due where there is {value!r}")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"a list is due where there is {value!r}")
    return value


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(word) for word in _list(value))


def placeholders(template: str) -> set[str]:
    """The names of the answers that a template is filled in with."""
    return {match[1] for match in _PLACEHOLDER.finditer(template)}


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the values of a recipe are resolved from."""

    site: Site
    secrets: SecretStore
    # Which further section stands for one, in turn: see ``each``.
    standing: Mapping[str, str] = field(default_factory=dict)
    # Answers by SECTION.KEY that hold instead of site.toml's.
    overrides: Mapping[str, Value] = field(default_factory=dict)

    def each(self, template: str) -> Iterator["Answers"]:
        """These answers once for every section that ``template`` may be about.

        Nearly always that is once; [registry] may be followed by [registry.LABEL].
        """
        yield self
        for section in {name.partition(".")[0] for name in placeholders(template)}:
            for label in self.site.questions.labels(section):
                yield replace(self, standing={section: f"{section}.{label}"})

    def value(self, name: str) -> Value:
        """The answer called SECTION.KEY; where it may be empty and is, its secret."""
        section, _, key = name.partition(".")
        name = f"{self.standing.get(section, section)}.{key}"
        if name in self.overrides:
            return self.overrides[name]
        try:
            answer = self.site[name]
        except KeyError as error:
            raise RecipeError(f"a recipe asks for '{name}', which site.toml has not") from error
        secret = self.site.secret_of(name)
        return self.secrets.secret(secret) if secret and answer == "" else answer

    def hidden(self) -> list[str]:
        """Every secret of this host that a program's output may hold; none is made for that."""
        given = [
            str(self.site.answers[question.name])
            for question in self.site.questions.all
            if question.is_secret
        ]
        return given + self.secrets.made()

    def fill(self, template: str, quoting: str = "plain") -> str:
        """``template`` with each {SECTION.KEY} or {SECTION.KEY!QUOTING} filled in."""

        def answer_to(match: re.Match[str]) -> str:
            answer = self.value(match[1])
            text = ",".join(answer) if isinstance(answer, list) else str(answer)
            # An address needs its colon, and its parts were checked to be harmless.
            is_address = match[1].endswith("address")
            return text if is_address else _QUOTES[match[2] or quoting](text)

        return _PLACEHOLDER.sub(answer_to, template)

    def resolve(self, wanted: object) -> object:
        """The value that a [config.set] entry asks for; None to leave its key out."""
        if not isinstance(wanted, dict):
            return wanted
        return self._value(wanted) if self._is_due(wanted) else None

    def _value(self, wanted: Mapping[str, object]) -> object:
        match {key: value for key, value in wanted.items() if key not in _CONDITIONS}:
            case {"site": str(name), **rest} if set(rest) <= {"as", "loopback-with"}:
                value = self.value(name)
                if "loopback-with" in rest:
                    value = self._kept_near(value, str(rest["loopback-with"]))
                return _as(rest.get("as", "plain"))(value)
            case {"text": str(template), **rest} if not rest:
                return self.fill(template)
            case {"secret": str(name), **rest} if not rest:
                return self.secrets.secret(name)
            case {"pair": str(name), **rest} if not rest:
                return str(self.secrets.ensure_pair(name))
            case {"public": str(name), **rest} if not rest:
                return str(self.secrets.public_half(name))
            case {"url": str(template), **rest} if not rest:
                return self.fill(template, "url")
        raise RecipeError(f"a recipe has a value of no known kind: {wanted!r}")

    def _kept_near(self, value: Value, other: str) -> Value:
        """The address ``value``, on loopback alone where ``other`` is reached there alone."""
        known = str(self.value(other))
        if not is_loopback(Address.parse(known).host if ":" in known else known):
            return value
        return str(Address(host="127.0.0.1", port=Address.parse(str(value)).port))

    def _is_due(self, wanted: Mapping[str, object]) -> bool:
        """Whether the other answers are as the entry's conditions ask."""
        answers = {key: str(name) for key, name in wanted.items() if key in _CONDITIONS}
        if "unless" in answers and self.value(answers["unless"]):
            return False
        if "where" in answers and not self.value(answers["where"]):
            return False
        if "with-key" in answers and not self.secrets.public_half(answers["with-key"]).exists():
            return False
        return "given" not in answers or self._is_given(answers["given"])

    def _is_given(self, name: str) -> bool:
        question = self.site.questions.named(name)
        return question is None or self.value(name) != question.default


def resolve_tree(answers: Answers, tree: Mapping[str, object]) -> dict[str, object]:
    """``tree`` with every value resolved, and the answers filled into its keys.

    A key whose value resolves to None is left out.
    """
    found: dict[str, object] = {}
    for key, wanted in tree.items():
        for each in answers.each(key):
            name = each.fill(key)
            value = resolve_tree(each, _table(wanted)) if _is_tree(wanted) else each.resolve(wanted)
            if value is not None:
                found[name] = value
    return found


def _is_tree(wanted: object) -> bool:
    """Whether this holds values, and is none itself."""
    return isinstance(wanted, Mapping) and not set(wanted) <= _VALUES


_CONDITIONS = frozenset({"unless", "where", "given", "with-key"})
_VALUES = _CONDITIONS | {"site", "as", "loopback-with", "secret", "pair", "public", "url", "text"}


def _as(form: object) -> Callable[[Value], object]:
    if form not in _FORMS:
        raise RecipeError(f"a recipe wants an answer as {form!r}; known: {', '.join(_FORMS)}")
    return _FORMS[str(form)]


def _address_tables(value: Value) -> object:
    parsed = [Address.parse(text) for text in (value if isinstance(value, list) else [str(value)])]
    tables = [{"host": address.host, "port": address.port} for address in parsed]
    return tables[0] if len(tables) == 1 else tables


def _list_of_tables(value: Value) -> object:
    tables = _address_tables(value)
    return tables if isinstance(tables, list) else [tables]


_DRIVERS = {"journal": ["console"], "file": ["file"], "both": ["console", "file"]}

# How an answer is written where the service wants it otherwise than site.toml has it.
_FORMS: Mapping[str, Callable[[Value], object]] = {
    "plain": lambda value: value,
    "table": _address_tables,
    "tables": lambda value: _list_of_tables(value) if value else None,
    "joined": lambda value: ",".join(value) if isinstance(value, list) and value else None,
    "host": lambda value: Address.parse(str(value)).host,
    "port": lambda value: Address.parse(str(value)).port,
    "optional": lambda value: None if value == "" else value,
    "given": bool,
    "parent": lambda value: str(PurePosixPath(str(value)).parent),
    "drivers": lambda value: _DRIVERS[str(value)],
    "projects": lambda value: _projects(str(value), platform.machine()),
}


def _projects(listed: str, machine: str) -> str:
    """On arm64 the images of several architectures are wanted, too."""
    words = [word.strip() for word in listed.split(",") if word.strip()]
    if machine == "aarch64" and "multiarch" not in words:
        words.append("multiarch")
    return ",".join(words)


def read_sample(layout: Layout, service: str, config: ConfigRecipe) -> str:
    """What the configuration file is made from: the installed release's, or the package's own."""
    path: Path = layout.samples(service) / config.file
    if config.template:
        path = layout.shipped / config.template
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"cannot read the sample {path}: {error}", hint=f"reinstall backendai-{service}"
        ) from error
