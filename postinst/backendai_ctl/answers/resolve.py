"""Resolves the values and templates of recipes from the answers and the secrets."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from urllib.parse import quote

from backendai_ctl.answers.kinds import Address, Value, is_loopback
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import Site
from backendai_ctl.base.errors import RecipeError
from backendai_ctl.base.toml import NotTomlError, as_table, parse_table

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9.-]*)(?:!([a-z]+))?\}")


def _sql_text(text: str) -> str:
    # E'' so that a backslash means the same whatever standard_conforming_strings is.
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _sql_name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


_QUOTES: Mapping[str, Callable[[str], str]] = {
    "url": lambda text: quote(text, safe=""),
    "name": _sql_name,
    "text": _sql_text,
    # Inside double quotes: of a configuration of Redis or Valkey, of TOML, and of a compose
    # file, whose strings are JSON's and where a $ would be expanded.
    "conf": lambda text: text.replace("\\", "\\\\").replace('"', '\\"'),
    "toml": lambda text: json.dumps(text)[1:-1],
    "compose": lambda text: json.dumps(text)[1:-1].replace("$", "$$"),
    "host": lambda text: Address.parse(text).host,
    "port": lambda text: str(Address.parse(text).port),
    # Of a list: libpq's and SQLAlchemy's way to name several servers.
    "hosts": lambda text: ",".join(Address.parse(item).host for item in text.split(",")),
    "ports": lambda text: ",".join(str(Address.parse(item).port) for item in text.split(",")),
    "plain": str,
}


def _quoted(text: str, quoting: str) -> str:
    if quoting not in _QUOTES:
        raise RecipeError(f"a template quotes by {quoting!r}; known: {', '.join(_QUOTES)}")
    return _QUOTES[quoting](text)


def placeholders(template: str) -> set[str]:
    """Return the names of the answers in a template."""
    return {match[1] for match in PLACEHOLDER.finditer(template)}


def answers_in(wanted: object) -> set[str]:
    """Return the names of the answers that a [config.set] entry is made of."""
    if not isinstance(wanted, Mapping):
        return set()
    names = {str(wanted["site"])} if "site" in wanted else set()
    names |= answers_in(wanted.get("else"))
    return names.union(*(placeholders(str(wanted.get(kind, ""))) for kind in ("text", "url")))


def conditions_of(wanted: object) -> set[str]:
    """Return the names of the answers that decide whether a [config.set] entry has a value."""
    if not isinstance(wanted, Mapping):
        return set()
    own = {str(wanted[kind]) for kind in _CONDITIONS - {"with-key"} if kind in wanted}
    return own | conditions_of(wanted.get("else"))


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The sources of a recipe's values."""

    site: Site
    secrets: SecretStore
    # The further section that replaces a section at present: see ``each``.
    standing: Mapping[str, str] = field(default_factory=dict)
    # Answers by SECTION.KEY that replace those of site.toml.
    overrides: Mapping[str, Value] = field(default_factory=dict)

    def each(self, template: str) -> Iterator["Answers"]:
        """Yield these answers once for each section that ``template`` can refer to.

        Nearly always that is once; [registry] may be followed by [registry.LABEL].
        """
        yield self
        for section in {name.partition(".")[0] for name in placeholders(template)}:
            for label in self.site.questions.labels(section):
                yield replace(self, standing={section: f"{section}.{label}"})

    def actual(self, name: str) -> str:
        """Return the name of the answer that stands for SECTION.KEY at present."""
        section, _, key = name.partition(".")
        return f"{self.standing.get(section, section)}.{key}"

    def value(self, name: str) -> Value:
        """Return the answer SECTION.KEY; if it is empty and has a secret, the secret.

        SECTION.label is the label of the section that stands for SECTION at present.
        """
        section, _, key = name.partition(".")
        if key == "label" and section in self.site.questions.first:
            own = self.site.questions.first[section]
            return self.standing.get(section, f"{section}.{own}").partition(".")[2]
        name = self.actual(name)
        if name in self.overrides:
            return self.overrides[name]
        try:
            answer = self.site[name]
        except KeyError as error:
            raise RecipeError(f"a recipe asks for '{name}', which site.toml has not") from error
        secret = self.site.secret_of(name)
        return self.secrets.secret(secret) if secret and answer == "" else answer

    def settings(self, wanted: Mapping[str, object]) -> Iterator[tuple[str, object, "Answers"]]:
        """Yield each key of a [config.set], the value as the recipe has it, and its answers.

        A key that names a section which may be repeated stands once for each.
        """
        for key, value in wanted.items():
            for each in self.each(key):
                yield each.fill(key), value, each

    def hidden(self) -> list[str]:
        """Return the existing secrets of this host that a program's output may hold."""
        given = [
            str(self.site.answers[question.name])
            for question in self.site.questions.all
            # The options of a volume are a list, and no program of ours prints them.
            if question.is_secret and not isinstance(question.default, list)
        ]
        return given + self.secrets.made()

    def fill(self, template: str, quoting: str = "plain") -> str:
        """Return ``template`` with each {SECTION.KEY} or {SECTION.KEY!QUOTING} filled in."""

        def answer_to(match: re.Match[str]) -> str:
            answer = self.value(match[1])
            text = ",".join(answer) if isinstance(answer, list) else str(answer)
            # An address needs its colon, and its parts are validated as harmless.
            is_address = match[1].endswith("address")
            return _quoted(text, match[2] or ("plain" if is_address else quoting))

        return PLACEHOLDER.sub(answer_to, template)

    def resolve(self, wanted: object) -> object:
        """Return the value that a [config.set] entry describes; None to leave its key out."""
        if not isinstance(wanted, dict):
            return wanted
        if not self._is_due(wanted):
            return self.resolve(wanted.get("else"))
        return self._value(wanted)

    def _value(self, wanted: Mapping[str, object]) -> object:
        match {key: value for key, value in wanted.items() if key not in {*_CONDITIONS, "else"}}:
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
        """Return the address ``value``, on loopback if ``other`` is reached there alone."""
        known = str(self.value(other))
        if not is_loopback(Address.parse(known).host if ":" in known else known):
            return value
        return str(Address(host="127.0.0.1", port=Address.parse(str(value)).port))

    def _is_due(self, wanted: Mapping[str, object]) -> bool:
        """Whether the other answers meet the entry's conditions."""
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
    """Return ``tree`` with every value resolved, and the answers filled into its keys.

    A key whose value resolves to None is left out.
    """
    found: dict[str, object] = {}
    for key, wanted in tree.items():
        for each in answers.each(key):
            name = each.fill(key)
            value = (
                resolve_tree(each, as_table(wanted)) if is_tree(wanted) else each.resolve(wanted)
            )
            if value is not None:
                found[name] = value
    return found


def is_tree(wanted: object) -> bool:
    """Whether ``wanted`` is a table of values rather than a value."""
    return isinstance(wanted, Mapping) and not set(wanted) <= _VALUES


_CONDITIONS = frozenset({"unless", "where", "given", "with-key"})
_VALUES = _CONDITIONS | {
    *("site", "as", "loopback-with", "secret", "pair", "public", "url", "text", "else")
}


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

# Conversions of an answer for a service that needs another form than site.toml has.
_FORMS: Mapping[str, Callable[[Value], object]] = {
    "plain": lambda value: value,
    "table": _address_tables,
    "tables": lambda value: _list_of_tables(value) if value else None,
    "joined": lambda value: ",".join(value) if isinstance(value, list) and value else None,
    "host": lambda value: Address.parse(str(value)).host,
    "port": lambda value: Address.parse(str(value)).port,
    "optional": lambda value: None if value == "" else value,
    "given": bool,
    "range": lambda value: [int(end) for end in str(value).split("-")],
    "options": lambda value: _option_table(value) if value else None,
    "parent": lambda value: str(PurePosixPath(str(value)).parent),
    "drivers": lambda value: _DRIVERS[str(value)],
    "projects": lambda value: ",".join(filter(None, map(str.strip, str(value).split(",")))),
}


def _option_table(options: Value) -> dict[str, object]:
    """Return the options of a volume; a value that is not TOML's is a text."""
    found: dict[str, object] = {}
    for option in options if isinstance(options, list) else []:
        name, _, text = option.partition("=")
        try:
            found[name] = parse_table(f"value = {text}")["value"]
        except (NotTomlError, LookupError):
            found[name] = text
    return found
