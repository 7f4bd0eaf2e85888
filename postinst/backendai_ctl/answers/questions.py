"""The questions that site.toml answers, as backendai-common ships them, and their kinds."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from urllib.parse import urlsplit

import tomlkit

from backendai_ctl.base.layout import Layout
from backendai_ctl.base.redact import HIDDEN, redact_urls
from backendai_ctl.base.toml import shipped_table

# What a question's answer may be; a list is of addresses.
Value = str | int | list[str]
Check = Callable[[object], Value]

_MAX_PORT = 65535
_MAX_ID = 2**31 - 1
_MAX_COUNT = 1000
_NOBODY = (65534, 65535)
_MAX_SECONDS = 3600
_MAX_AMOUNT = 100
_LABEL = "[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_NUMBER = re.compile("[0-9]{1,18}")  # no answer is larger, and Python refuses 5,000 digits
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_IPV6 = re.compile(r"\[([0-9A-Fa-f:.]+)\]")


@dataclass(frozen=True, kw_only=True)
class Address:
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read HOST:PORT, an IPv6 host in brackets; ValueError where it is not."""
        host, colon, port = text.rpartition(":")
        bracketed = _IPV6.fullmatch(host)
        if not colon or not (bracketed or _HOST.fullmatch(host)):
            raise ValueError("not HOST:PORT")
        if not _NUMBER.fullmatch(port) or not 1 <= int(port) <= _MAX_PORT:
            raise ValueError(f"not HOST:PORT with a port from 1 to {_MAX_PORT}")
        return cls(host=bracketed[1] if bracketed else host, port=int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, kw_only=True)
class Question:
    """One key of site.toml."""

    section: str
    key: str
    default: Value
    about: str
    allowed: str
    check: Check
    # Where the answer may stay empty: the secret that is made instead.
    secret: str | None = None
    # The answer must not be shown, whatever its key is called.
    hidden: bool = False
    # Where it may stay empty: the answer that other answers make, as {SECTION.KEY} in a text.
    otherwise: str = ""
    # Answers that ask for another one: this answer to the name of that question.
    asks_for: Mapping[str, str] = field(default_factory=dict)
    # The default in a further section of the kind.
    further: Value = ""
    # The question of the section whose host and port an empty answer stands for.
    host_of: str = ""

    @property
    def name(self) -> str:
        """SECTION.KEY, as recipes and messages call it."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """The environment variable that answers it when site.toml is made."""
        return as_variable(f"{self.section}_{self.key}")

    @property
    def is_secret(self) -> bool:
        """Whether the answer must not be shown."""
        return self.hidden or self.secret is not None

    def shown(self, value: object) -> str:
        """``value``, given as an answer, as a message may show it."""
        if self.is_secret:
            return HIDDEN
        if isinstance(value, (str, int, float, list, dict)):
            try:
                value = tomlkit.item(value).as_string().strip()
            except (ValueError, TypeError, RecursionError):  # nothing that TOML can hold
                value = type(value).__name__
        return redact_urls(str(value))

    def from_text(self, text: str) -> object:
        """The value of the environment variable, as TOML would hold it."""
        if isinstance(self.default, list):
            return [item.strip() for item in text.split(",") if item.strip()]
        if isinstance(self.default, int):
            return int(text) if _NUMBER.fullmatch(text) else text
        return text


def as_variable(name: str) -> str:
    """``name`` as an environment variable of ours spells it."""
    return f"BACKENDAI_{name}".upper().replace("-", "_").replace(".", "_")


_URL_PORTS = {"http": ":80", "https": ":443"}


def host_of(url: str) -> str:
    """HOST or HOST:PORT of a URL, without a port that goes without saying."""
    parts = urlsplit(url)
    return parts.netloc.removesuffix(_URL_PORTS.get(parts.scheme, "")).lower()


def _text(pattern: str) -> Check:
    compiled = re.compile(pattern)

    def check(value: object) -> Value:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise ValueError
        return value

    return check


def _account_id(value: object) -> Value:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if is_number and 1 <= int(str(value)) <= _MAX_ID and value not in _NOBODY:
        return int(str(value))
    raise ValueError


def _seconds(value: object) -> Value:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_SECONDS:
        return value
    raise ValueError


def _amount(value: object) -> Value:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_AMOUNT:
        return value
    raise ValueError


def _count(value: object) -> Value:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_COUNT:
        return value
    raise ValueError


def _address(value: object) -> Value:
    if isinstance(value, str):
        return str(Address.parse(value))
    raise ValueError


def _any_address(value: object) -> Value:
    return "" if value == "" else _address(value)


def _addresses(value: object) -> Value:
    if not value:
        raise ValueError
    return _any_addresses(value)


def _any_addresses(value: object) -> Value:
    if isinstance(value, list):
        return [str(_address(item)) for item in value]
    raise ValueError


# Without what no text in UTF-8 has: bytes that could not be decoded.
_LINE = r"[^\x00-\x1f\x7f\ud800-\udfff]*"
_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_-]{1,62}"
_PATH = r"(/[A-Za-z0-9_+@:,=~-][A-Za-z0-9._+@:,=~-]*)+"
_EMAIL = r"[A-Za-z0-9._+-]{1,40}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
_IMAGE = r"[a-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?"
# As Docker's own grammar of image names has it; an IPv6 address is in brackets.
_REGISTRY = r"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
_REGISTRY_TYPE = "docker|harbor|harbor2|github|gitlab|ecr|ecr-public|local|ocp"
_URL = r"https?://[A-Za-z0-9\[][A-Za-z0-9.:\]_-]*(/[A-Za-z0-9._~/-]*)?"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What the answers to a question may be, and the words that say so."""

    check: Check
    allowed: str


# NNNN stands for the port of the question's default.
_ADDRESS = "HOST:PORT, for example 10.0.0.5:NNNN or [fd00::5]:NNNN"
KINDS: Mapping[str, Kind] = {
    "id": Kind(check=_account_id, allowed="a number from 1 to 2147483647, but not 65534 or 65535"),
    "seconds": Kind(check=_seconds, allowed=f"a number of seconds from 0 to {_MAX_SECONDS}"),
    "amount": Kind(check=_amount, allowed=f"a number from 0 to {_MAX_AMOUNT}"),
    "address": Kind(check=_address, allowed=_ADDRESS),
    "any-address": Kind(check=_any_address, allowed=f"{_ADDRESS}, or empty"),
    "addresses": Kind(check=_addresses, allowed=f"a list of {_ADDRESS}"),
    "any-addresses": Kind(check=_any_addresses, allowed=f"a list, or [], of {_ADDRESS}"),
    "word": Kind(
        check=_text(r"[A-Za-z0-9][A-Za-z0-9._-]*"), allowed="letters, digits, '.', '_' and '-'"
    ),
    "any-word": Kind(
        check=_text(r"([A-Za-z0-9][A-Za-z0-9._-]*)?"),
        allowed="letters, digits, '.', '_' and '-', or empty",
    ),
    "identifier": Kind(
        check=_text(_IDENTIFIER),
        allowed="2 to 63 letters, digits, '_' and '-', a letter or '_' first",
    ),
    "log": Kind(check=_text("journal|file|both"), allowed="journal, file or both"),
    "count": Kind(check=_count, allowed="a number from 1 to 1000"),
    "image": Kind(
        check=_text(_IMAGE), allowed="an image's name, for example registry.example.org/etcd:v3.5"
    ),
    "line": Kind(check=_text(_LINE), allowed="one line of text, or empty"),
    "any-registry": Kind(
        check=_text(f"({_REGISTRY})?"),
        allowed="HOST or HOST:PORT, an IPv6 address in brackets, or empty",
    ),
    "registry-type": Kind(
        check=_text(_REGISTRY_TYPE), allowed=f"one of {_REGISTRY_TYPE.replace('|', ', ')}"
    ),
    "registry-user": Kind(
        check=_text(r"[^\x00-\x1f\x7f\ud800-\udfff:]*"),
        allowed="one line of text without a colon, or empty",
    ),
    "email": Kind(check=_text(_EMAIL), allowed="an e-mail address, for example ops@example.com"),
    "path": Kind(
        check=_text(_PATH), allowed="an absolute path without spaces, '.' and '..', not / itself"
    ),
    "any-path": Kind(
        check=_text(f"({_PATH})?"), allowed="an absolute path without spaces, or empty"
    ),
    # libpq's words, which asyncpg knows too.
    "tls": Kind(
        check=_text("prefer|require|verify-ca|verify-full"),
        allowed="prefer, require, verify-ca or verify-full",
    ),
    "url": Kind(
        check=_text(_URL), allowed="a URL that begins with http:// or https://, without a query"
    ),
    "any-url": Kind(
        check=_text(f"({_URL})?"),
        allowed="a URL that begins with http:// or https://, without a query, or empty",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Every question, in the order in which site.toml has them."""

    sections: Mapping[str, str]  # name to explanation
    all: tuple[Question, ...]
    # Sections that further ones of the kind, [SECTION.LABEL], may follow.
    repeatable: frozenset[str] = frozenset()

    def named(self, name: str) -> Question | None:
        """The question called SECTION.KEY."""
        return next((question for question in self.all if question.name == name), None)

    def of_section(self, section: str) -> list[Question]:
        """The questions of one section."""
        return [question for question in self.all if question.section == section]

    def labels(self, section: str) -> list[str]:
        """The labels of the further sections of the kind."""
        begin = f"{section}."
        return [name.removeprefix(begin) for name in self.sections if name.startswith(begin)]

    def with_labels(self, section: str, labels: Iterable[str]) -> "Questions":
        """The same and those of [SECTION.LABEL] for each label."""
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
        """The same and those of the further section that SECTION.LABEL.KEY is in, if it is so."""
        section, _, rest = name.partition(".")
        label, dot, _ = rest.rpartition(".")
        if section in self.repeatable and dot and is_label(label):
            return self.with_labels(section, [label])
        return self


_PORT_OF = re.compile(r"\{([a-z.-]+)!port\}")
_LABEL_OF_SECTION = re.compile("[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def is_label(text: object) -> bool:
    """Whether a further section may be called so."""
    return isinstance(text, str) and _LABEL_OF_SECTION.fullmatch(text) is not None


def load_questions(layout: Layout) -> Questions:
    """The questions that backendai-common shipped; RecipeError where they are broken."""
    path = layout.questions
    with shipped_table(path, "backendai-common") as table:
        return Questions(
            sections={section["name"]: section["about"] for section in table["section"]},
            all=tuple(_questions(table["section"])),
            repeatable=frozenset(
                section["name"] for section in table["section"] if section.get("further")
            ),
        )


def _questions(sections: list[dict[str, object]]) -> Iterator[Question]:
    ports: dict[str, str] = {}  # by default, of the questions so far
    for section in sections:
        listed = section["question"]
        if not isinstance(listed, list):
            raise TypeError(f"a list is due where there is {listed!r}")
        for item in listed:
            kind = KINDS[item["kind"]]
            default = kind.check(_with_ports(item["default"], ports))
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
                asks_for=item.get("asks-for", {}),
                further=item.get("further", default),
                host_of=item.get("host-of", ""),
            )


def _with_ports(value: object, ports: Mapping[str, str]) -> object:
    """A default with the port of another question's, so that each port stands once."""
    if not isinstance(value, str):
        return value
    return _PORT_OF.sub(lambda match: ports[match[1]], value)


def _port(default: Value) -> str:
    if default == []:
        return "26379"
    example = default[0] if isinstance(default, list) else str(default)
    return example.rpartition(":")[2]
