"""The questions that site.toml answers: their types, defaults and explanations."""

import re
from collections.abc import Callable
from dataclasses import dataclass

# What a question's answer may be; a list is of addresses.
Value = str | int | list[str]
Check = Callable[[object], Value]

_MAX_PORT = 65535
_MAX_ID = 2**31 - 1
_NOBODY = (65534, 65535)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
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
        if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= _MAX_PORT:
            raise ValueError(f"not HOST:PORT with a port from 1 to {_MAX_PORT}")
        return cls(host=bracketed[1] if bracketed else host, port=int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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

    @property
    def name(self) -> str:
        """SECTION.KEY, as recipes and messages call it."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """The environment variable that answers it when site.toml is made."""
        return f"BACKENDAI_{self.section}_{self.key}".upper().replace("-", "_")

    def from_text(self, text: str) -> object:
        """The value of the environment variable, as TOML would hold it."""
        if isinstance(self.default, list):
            return [item.strip() for item in text.split(",") if item.strip()]
        if isinstance(self.default, int):
            return int(text) if text.isascii() and text.isdigit() else text
        return text


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


def _address(value: object) -> Value:
    if isinstance(value, str):
        return str(Address.parse(value))
    raise ValueError


def _addresses(value: object) -> Value:
    if not isinstance(value, list) or not value:
        raise ValueError
    return [str(_address(item)) for item in value]


_ANY_ID = "a number from 1 to 2147483647, but not 65534 or 65535"
_ADDRESS = "HOST:PORT, for example 10.0.0.5:5432 or [fd00::5]:5432"
_LINE = r"[^\x00-\x1f\x7f]*"
_NAME = r"[A-Za-z_][A-Za-z0-9_-]{1,62}"

SECTIONS = {
    "account": (
        "The account that runs the services, made when backendai-common is installed.\n"
        "Nodes that share storage must agree on it."
    ),
    "etcd": "The configuration store that all nodes share.",
    "database": "PostgreSQL, which the manager needs.",
    "redis": "Redis or Valkey, the event bus and cache of the manager and the agents.",
    "manager": "The manager's own addresses.",
}

QUESTIONS = (
    Question(
        section="account", key="uid", default=1100, check=_account_id, allowed=_ANY_ID,
        about="User id.",
    ),
    Question(
        section="account", key="gid", default=1100, check=_account_id, allowed=_ANY_ID,
        about="Group id.",
    ),
    Question(
        section="etcd", key="addresses", default=["127.0.0.1:2379"], check=_addresses,
        allowed=f"a list of {_ADDRESS.replace('5432', '2379')}",
        about="Every member of the cluster, or one address in front of it.",
    ),
    Question(
        section="etcd", key="namespace", default="local",
        check=_text(r"[A-Za-z0-9][A-Za-z0-9._-]*"),
        allowed="letters, digits, '.', '_' and '-'",
        about="Separates clusters that share one etcd.",
    ),
    Question(
        section="etcd", key="user", default="", check=_text(_LINE),
        allowed="one line of text, or empty", about="Empty where etcd asks for no user.",
    ),
    Question(
        section="etcd", key="password", default="", check=_text(_LINE),
        allowed="one line of text, or empty", about="The password of that user.",
    ),
    Question(
        section="database", key="address", default="127.0.0.1:5432", check=_address,
        allowed=_ADDRESS, about="The server, or a proxy in front of it.",
    ),
    Question(
        section="database", key="name", default="backend", check=_text(_NAME),
        allowed="2 to 63 letters, digits, '_' and '-', a letter or '_' first",
        about="The database; the role below owns it.",
    ),
    Question(
        section="database", key="user", default="backend", check=_text(_NAME),
        allowed="2 to 63 letters, digits, '_' and '-', a letter or '_' first",
        about="The role that the manager logs in as.",
    ),
    Question(
        section="database", key="password", default="", check=_text(_LINE),
        allowed="one line of text, or empty", secret="manager-database-password",
        about=(
            "Its password. Left empty, one is made on this host and kept in\n"
            "/var/lib/backendai/secrets/manager-database-password."
        ),
    ),
    Question(
        section="redis", key="address", default="127.0.0.1:6379", check=_address,
        allowed=_ADDRESS.replace("5432", "6379"), about="The server.",
    ),
    Question(
        section="redis", key="password", default="", check=_text(_LINE),
        allowed="one line of text, or empty", about="Empty where it asks for none.",
    ),
    Question(
        section="manager", key="address", default="0.0.0.0:8081", check=_address,
        allowed=_ADDRESS.replace("5432", "8081"),
        about="Where users' requests are answered.",
    ),
    Question(
        section="manager", key="internal-address", default="127.0.0.1:18080", check=_address,
        allowed=_ADDRESS.replace("5432", "18080"),
        about=(
            "Where storage nodes reach the manager. It has no authentication: give it an\n"
            "address of a network that only your nodes are on."
        ),
    ),
)  # fmt: skip
