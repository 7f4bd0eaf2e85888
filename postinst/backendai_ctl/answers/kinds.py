"""The kinds of answers in site.toml: their checks, and the words for the allowed values."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import tomlkit

# The type of an answer; a list is of addresses.
Value = str | int | list[str]
Check = Callable[[object], Value]

_MAX_PORT = 65535
_MIN_FREE_PORT = 1024
_MAX_ID = 2**31 - 1
_MAX_COUNT = 1000
_NOBODY = (65534, 65535)
_MAX_SECONDS = 3600
_MAX_AMOUNT = 100
_LABEL = "[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
NUMBER = re.compile("[0-9]{1,18}")  # no answer is larger, and Python refuses 5,000 digits
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9_-]*=[^\x00-\x1f\x7f\ud800-\udfff]*")
_IPV6 = re.compile(r"\[([0-9A-Fa-f:.]+)\]")


@dataclass(frozen=True, kw_only=True)
class Address:
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Parse HOST:PORT, an IPv6 host in brackets; ValueError if it is malformed."""
        host, colon, port = text.rpartition(":")
        bracketed = _IPV6.fullmatch(host)
        if not colon or not (bracketed or _HOST.fullmatch(host)):
            raise ValueError("not HOST:PORT")
        if not NUMBER.fullmatch(port) or not 1 <= int(port) <= _MAX_PORT:
            raise ValueError(f"not HOST:PORT with a port from 1 to {_MAX_PORT}")
        return cls(host=bracketed[1] if bracketed else host, port=int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the host, by name or number."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, can be reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_URL_PORTS = {"http": ":80", "https": ":443"}


def host_of(url: str) -> str:
    """Return HOST or HOST:PORT of a URL; a default port is left out."""
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


def _switch(value: object) -> Value:
    if isinstance(value, bool):
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


def _cores(value: object) -> Value:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT:
        return value
    raise ValueError


def _port_range(value: object) -> Value:
    first, dash, last = value.partition("-") if isinstance(value, str) else ("", "", "")
    if not (dash and NUMBER.fullmatch(first) and NUMBER.fullmatch(last)):
        raise ValueError
    if not _MIN_FREE_PORT <= int(first) <= int(last) <= _MAX_PORT:
        raise ValueError
    return f"{int(first)}-{int(last)}"


def _options(value: object) -> Value:
    """Return NAME=VALUE for each option of a list or a table; the value as TOML writes it."""
    if isinstance(value, dict):
        try:
            value = [f"{name}={tomlkit.item(item).as_string()}" for name, item in value.items()]
        except (ValueError, TypeError, RecursionError):  # a value that TOML cannot hold
            raise ValueError from None
    if isinstance(value, list) and all(
        isinstance(item, str) and _OPTION.fullmatch(item) for item in value
    ):
        return [str(item) for item in value]
    raise ValueError


def _addresses(value: object) -> Value:
    if not value:
        raise ValueError
    return _any_addresses(value)


def _any_addresses(value: object) -> Value:
    if isinstance(value, list):
        return [str(_address(item)) for item in value]
    raise ValueError


# Without surrogates, which stand for bytes that could not be decoded.
_LINE = r"[^\x00-\x1f\x7f\ud800-\udfff]*"
_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_-]{1,62}"
_PATH = r"(/[A-Za-z0-9_+@:,=~-][A-Za-z0-9._+@:,=~-]*)+"
_EMAIL = r"[A-Za-z0-9._+-]{1,40}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
_IMAGE = r"[a-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?"
# As Docker's own grammar of image names has it; an IPv6 address is in brackets.
_REGISTRY = r"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
_REGISTRY_TYPE = "docker|harbor|harbor2|github|gitlab|ecr|ecr-public|local|ocp"
# Of every release that is maintained; a plug-in's is the admin's own line in storage-proxy.toml.
_VOLUME_BACKEND = (
    "vfs|xfs|cephfs|gpfs|spectrumscale|weka|vast|netapp|purestorage|dellemc-onefs|exascaler"
    "|hammerspace|hammerspace-base"
)
_URL = r"https?://[A-Za-z0-9\[][A-Za-z0-9.:\]_-]*(/[A-Za-z0-9._~/-]*)?"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A check for the answers to a question, and the words for the allowed ones."""

    check: Check
    allowed: str


# NNNN stands for the port of the question's default.
_ADDRESS = "HOST:PORT, for example 10.0.0.5:NNNN or [fd00::5]:NNNN"
KINDS: Mapping[str, Kind] = {
    "id": Kind(check=_account_id, allowed="a number from 1 to 2147483647, but not 65534 or 65535"),
    "switch": Kind(check=_switch, allowed="true or false"),
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
    "cores": Kind(check=_cores, allowed=f"a number of processors from 0 to {_MAX_COUNT}"),
    "size": Kind(
        check=_text(r"(0|[1-9][0-9]{0,5}[MGT])"), allowed="0, or a size as 512M, 4G or 1T"
    ),
    "port-range": Kind(
        check=_port_range,
        allowed=f"FIRST-LAST from {_MIN_FREE_PORT} to {_MAX_PORT}, for example 30000-31000",
    ),
    "statistics": Kind(check=_text("docker|cgroup"), allowed="docker or cgroup"),
    "mount": Kind(
        check=_text(f"({_PATH}|none)?"),
        allowed="the absolute path of a mount point without spaces, none, or empty",
    ),
    "volume-backend": Kind(
        check=_text(_VOLUME_BACKEND), allowed=f"one of {_VOLUME_BACKEND.replace('|', ', ')}"
    ),
    "options": Kind(
        check=_options, allowed='a table, for example { name = "value" }, or a list of NAME=VALUE'
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
