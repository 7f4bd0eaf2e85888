"""The questions that site.toml answers, as backendai-common ships them."""

import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import tomlkit

from backendai_ctl.answers.kinds import KINDS, NUMBER, Address, Check, Value
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.redact import HIDDEN, redact_urls
from backendai_ctl.base.toml import shipped_table


@dataclass(frozen=True, kw_only=True)
class Question:
    """One key of site.toml."""

    section: str
    key: str
    default: Value
    about: str
    allowed: str
    check: Check
    # If the answer may stay empty: the name of the secret that is generated instead.
    secret: str | None = None
    # The answer must not be shown, whatever its key is called.
    hidden: bool = False
    # If it may stay empty: a text with {SECTION.KEY} that makes the answer of other answers.
    otherwise: str = ""
    # The text with {SECTION.KEY} and {SECTION.KEY!port} that replaces an empty answer, or the
    # default, and the answers of which one must be given for that.
    derived: str = ""
    derived_where: tuple[str, ...] = ()
    # Answers that require another one: this answer to that question's name.
    asks_for: Mapping[str, str] = field(default_factory=dict)
    # The default in a further section of the same kind.
    further: Value = ""
    # The question of the same section whose host and port replace an empty answer.
    host_of: str = ""

    @property
    def name(self) -> str:
        """SECTION.KEY, as in recipes and messages."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """The environment variable that answers it when site.toml is created."""
        return as_variable(f"{self.section}_{self.key}")

    @property
    def is_secret(self) -> bool:
        """Whether the answer must not be shown."""
        return self.hidden or self.secret is not None

    def shown(self, value: object) -> str:
        """Return ``value``, an answer to this question, as a message may show it."""
        if self.is_secret:
            return HIDDEN
        if isinstance(value, (str, int, float, list, dict)):
            try:
                value = tomlkit.item(value).as_string().strip()
            except (ValueError, TypeError, RecursionError):  # a value that TOML cannot hold
                value = type(value).__name__
        return redact_urls(str(value))

    def from_text(self, text: str) -> object:
        """Return the value of the environment variable as TOML would hold it."""
        if isinstance(self.default, list):
            return [item.strip() for item in text.split(",") if item.strip()]
        if isinstance(self.default, bool):
            return {"true": True, "false": False}.get(text, text)
        if isinstance(self.default, int):
            return int(text) if NUMBER.fullmatch(text) else text
        return text


def as_variable(name: str) -> str:
    """Return the environment variable that stands for ``name``."""
    return f"BACKENDAI_{name}".upper().replace("-", "_").replace(".", "_")


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Every question, in the order in which site.toml has them."""

    sections: Mapping[str, str]  # name to explanation
    all: tuple[Question, ...]
    # Sections that may be followed by further ones of their kind, [SECTION.LABEL].
    repeatable: frozenset[str] = frozenset()
    # The labels of such sections' own answers.
    first: Mapping[str, str] = field(default_factory=dict)

    def named(self, name: str) -> Question | None:
        """Return the question SECTION.KEY."""
        return next((question for question in self.all if question.name == name), None)

    def of_section(self, section: str) -> list[Question]:
        """Return the questions of one section."""
        return [question for question in self.all if question.section == section]

    def labels(self, section: str) -> list[str]:
        """Return the labels of the further sections of its kind."""
        begin = f"{section}."
        return [name.removeprefix(begin) for name in self.sections if name.startswith(begin)]

    def with_labels(self, section: str, labels: Iterable[str]) -> "Questions":
        """Return these questions and those of [SECTION.LABEL] for each label."""
        known = self.labels(section)
        added = [f"{section}.{label}" for label in dict.fromkeys(labels) if label not in known]
        questions = [
            replace(question, section=name, default=question.further)
            for name in added
            for question in self.of_section(section)
        ]
        return replace(
            self,
            sections={**self.sections, **dict.fromkeys(added, "")},
            all=(*self.all, *questions),
        )

    def with_name(self, name: str) -> "Questions":
        """Return these questions and, if ``name`` is SECTION.LABEL.KEY, those of that section."""
        section, _, rest = name.partition(".")
        label, dot, _ = rest.rpartition(".")
        if section in self.repeatable and dot and is_label(label):
            return self.with_labels(section, [label])
        return self


_PORT_OF = re.compile(r"\{([a-z.-]+)!port\}")
_LABEL_OF_SECTION = re.compile("[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def is_label(text: object) -> bool:
    """Whether ``text`` can be the label of a further section."""
    return isinstance(text, str) and _LABEL_OF_SECTION.fullmatch(text) is not None


def load_questions(layout: Layout) -> Questions:
    """Load the questions that backendai-common shipped; RecipeError if they are broken."""
    path = layout.questions
    with shipped_table(path, "backendai-common") as table:
        return Questions(
            sections={section["name"]: section["about"] for section in table["section"]},
            all=tuple(_questions(table["section"])),
            repeatable=frozenset(
                section["name"] for section in table["section"] if section.get("further")
            ),
            first={
                section["name"]: section["first"]
                for section in table["section"]
                if "first" in section
            },
        )


def _questions(sections: list[dict[str, object]]) -> Iterator[Question]:
    ports: dict[str, str] = {}  # default ports of the questions so far
    for section in sections:
        listed = section["question"]
        if not isinstance(listed, list):
            raise TypeError(f"a list is due where there is {listed!r}")
        for item in listed:
            kind = KINDS[item["kind"]]
            own = item.get("default-on", {}).get(platform.machine(), item["default"])
            default = kind.check(_with_ports(own, ports))
            otherwise = str(_with_ports(item.get("otherwise", ""), ports))
            if item["kind"] == "address" and default:
                ports[f"{section['name']}.{item['key']}"] = str(Address.parse(str(default)).port)
            yield Question(
                section=str(section["name"]),
                key=item["key"],
                default=default,
                about=item["about"],
                allowed=kind.allowed.replace("NNNN", _port(default or otherwise)),
                check=kind.check,
                secret=item.get("secret"),
                hidden=item.get("hidden", False),
                otherwise=otherwise,
                derived=item.get("derived", {}).get("text", ""),
                derived_where=tuple(item.get("derived", {}).get("where", ())),
                asks_for=item.get("asks-for", {}),
                further=item.get("further", default),
                host_of=item.get("host-of", ""),
            )


def _with_ports(value: object, ports: Mapping[str, str]) -> object:
    """Return a default that takes its port from another question, so that each port stands once."""
    if not isinstance(value, str):
        return value
    return _PORT_OF.sub(lambda match: ports[match[1]], value)


def _port(default: Value) -> str:
    if default == []:
        return "26379"
    example = default[0] if isinstance(default, list) else str(default)
    return example.rpartition(":")[2]
