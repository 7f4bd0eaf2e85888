"""Credentials of package indexes, found where uv finds them, for downloads of our own.

uv resolves with them and writes none into its output, so a file's URL has none. Sources,
in uv's order: the index's URL (``UV_DEFAULT_INDEX`` and its relatives),
``UV_INDEX_NAME_USERNAME`` and ``UV_INDEX_NAME_PASSWORD`` for an index with a name, and
the netrc file. https://docs.astral.sh/uv/concepts/authentication/
"""

import base64
import netrc
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from builder.base.errors import UsageError

# One index each, and lists of them; each with an optional ``NAME=`` in front.
_SINGLE = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
_LISTS = ("UV_INDEX", "UV_EXTRA_INDEX_URL")
_NAMED = re.compile(r"([A-Za-z0-9._-]+)=(?=[a-z]+://)")
_PORTS = {"http": 80, "https": 443}

# Scheme, host and port.
Origin = tuple[str, str, int]


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user and a password; never shown."""

    user: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Accounts for servers: by origin, and those of a netrc file by host."""

    by_origin: Mapping[Origin, Account] = field(default_factory=dict)
    by_host: Mapping[str, Account] = field(default_factory=dict)
    indexes: frozenset[Origin] = frozenset()

    def find(self, url: str) -> Account | None:
        """Return the account for ``url``, by its scheme, host and port; None if there is none.

        An account of netrc is sent to a server without encryption only if an index is
        configured at that very origin: netrc names no scheme.
        """
        origin = origin_of(url)
        if origin is None:
            return None
        known = self.by_origin.get(origin)
        if known:
            return known
        scheme, host, _ = origin
        return self.by_host.get(host) if scheme == "https" or origin in self.indexes else None


def origin_of(url: str) -> Origin | None:
    """Return the scheme, host and port of ``url``; None if it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.hostname is None or parts.scheme not in _PORTS:
        return None
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]


def load_credentials(environment: Mapping[str, str] | None = None) -> Credentials:
    """Load the credentials that this process's environment names.

    Raises UsageError if the netrc file that ``NETRC`` names cannot be read.
    """
    variables = os.environ if environment is None else environment
    by_origin: dict[Origin, Account] = {}
    indexes = set()
    for name, url in _indexes(variables):
        origin = origin_of(url)
        if origin is None:
            continue
        indexes.add(origin)
        account = _of_url(urlsplit(url)) or _of_variables(name, variables)
        if account:
            by_origin.setdefault(origin, account)
    return Credentials(
        by_origin=by_origin, by_host=_load_netrc(variables), indexes=frozenset(indexes)
    )


def _indexes(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the name, empty if there is none, and the URL of every index."""
    words = [variables.get(name, "") for name in _SINGLE]
    words += [word for name in _LISTS for word in variables.get(name, "").split()]
    for word in words:
        match = _NAMED.match(word)
        yield (match[1], word[match.end() :]) if match else ("", word)


def _of_url(parts: SplitResult) -> Account | None:
    if parts.username is None and parts.password is None:
        return None
    return Account(user=unquote(parts.username or ""), password=unquote(parts.password or ""))


def _of_variables(name: str, variables: Mapping[str, str]) -> Account | None:
    if not name:
        return None
    stem = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
    user, password = variables.get(f"{stem}_USERNAME"), variables.get(f"{stem}_PASSWORD")
    if user is None and password is None:
        return None
    return Account(user=user or "", password=password or "")


def _load_netrc(variables: Mapping[str, str]) -> dict[str, Account]:
    named = variables.get("NETRC")
    path = Path(named) if named else Path(variables.get("HOME", "/nonexistent")) / ".netrc"
    if not named and not path.is_file():
        return {}
    try:
        table = netrc.netrc(path)
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError) as error:
        if not named:
            return {}
        # A parse error may quote the token at fault, which may be a password.
        reason = error.strerror if isinstance(error, OSError) else "not a netrc file"
        raise UsageError(
            f"cannot read {path}, which NETRC names: {reason}",
            hint="correct the file, or unset NETRC",
        ) from None
    return {
        host: Account(user=user or "", password=password or "")
        for host, (user, _, password) in table.hosts.items()
        if host != "default"
    }
