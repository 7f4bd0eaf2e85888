"""Speaks the protocol of Redis or Valkey, and tries the operations that the services need.

Only the services' CPython has their own client, which takes seconds to import.
https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import io
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.stores.remedies import Names, StoreKind, find_remedy

_SECONDS = 3.0
_KEY_MILLISECONDS = 10_000
_MAX_BYTES = 1_048_576
_DEPTH = 8


class ServerRefusalError(NotReadyError):
    """An error that the server returned; ``words`` begin with its kind."""

    def __init__(self, address: Address, words: str) -> None:
        remedy = find_remedy(StoreKind.REDIS, message=words, names=Names(address=str(address)))
        super().__init__(f"Redis on {address} refuses: {words}", hint=remedy)
        self.words = words


@dataclass(frozen=True, kw_only=True)
class Redis:
    """A server, or the Sentinels that report its address."""

    address: Address | None
    password: str = ""
    sentinels: tuple[Address, ...] = ()
    service_name: str = "mymaster"
    sentinel_password: str = ""

    def server(self) -> Address:
        """Return the server's address; NotReadyError if no Sentinel reports it."""
        if self.address is not None and not self.sentinels:
            return self.address
        problems: list[str] = []
        for sentinel in self.sentinels:
            question = ("SENTINEL", "get-master-addr-by-name", self.service_name)
            try:
                with connected(sentinel, self.sentinel_password) as link:
                    found = link.ask(*question)
            except NotReadyError as error:
                problems.append(error.message)
                continue
            match found:
                case [str(host), str(port)] if port.isdigit():
                    return Address(host=host, port=int(port))
            problems.append(f"the Sentinel on {sentinel} does not know '{self.service_name}'")
        raise NotReadyError(
            "; ".join(problems) or "no address of Redis is configured",
            hint="correct [redis] sentinels, service-name and sentinel-password in site.toml",
        )

    def try_work(self) -> None:
        """Write a key and a stream that expire by themselves, and remove both.

        Raises NotReadyError, with the remedy as its hint, if the server refuses.
        """
        key = f"backendai-ctl:trial:{secrets.token_hex(8)}"
        stream = f"{key}:stream"
        with connected(self.server(), self.password) as link:
            link.ask("SET", key, "1", "PX", str(_KEY_MILLISECONDS))
            try:
                link.ask("XADD", stream, "*", "a", "1")
                link.ask("PEXPIRE", stream, str(_KEY_MILLISECONDS))
            finally:
                link.ask("DEL", key, stream)


@dataclass(frozen=True)
class Link:
    """An open connection to a server."""

    address: Address
    stream: io.BufferedIOBase

    def ask(self, *words: str) -> object:
        """Return the server's reply to one command; ServerRefusalError if it is an error."""
        parts = [word.encode() for word in words]
        request = b"*%d\r\n" % len(parts)
        request += b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        try:
            self.stream.write(request)
            self.stream.flush()
            return self._read(_DEPTH)
        except (OSError, ValueError) as error:
            raise NotReadyError(f"Redis on {self.address} does not answer: {error}") from error

    def _read(self, depth: int) -> object:
        line = self.stream.readline(_MAX_BYTES)
        kind, text = line[:1], line[1:-2].decode(errors="replace")
        if not line.endswith(b"\r\n") or depth == 0:
            raise ValueError("this is not Redis")
        match kind:
            case b"+" | b":":
                return text
            case b"-":
                raise ServerRefusalError(self.address, text)
            case b"$" if -1 <= int(text) <= _MAX_BYTES:
                size = int(text)
                return (
                    None if size < 0 else self.stream.read(size + 2)[:-2].decode(errors="replace")
                )
            case b"*" if -1 <= int(text) <= _MAX_BYTES:
                return [self._read(depth - 1) for _ in range(int(text))]
        raise ValueError("this is not Redis")


@contextmanager
def connected(address: Address, password: str = "", *, seconds: float = _SECONDS) -> Iterator[Link]:
    """Connect, and log in if there is a password; NotReadyError if the server does not answer.

    Each reply may take ``seconds``.
    """
    try:
        connection = socket.create_connection((address.host, address.port), timeout=seconds)
    except (OSError, UnicodeError) as error:
        raise NotReadyError(f"Redis on {address} does not answer: {error}") from error
    with connection, connection.makefile("rwb") as stream:
        link = Link(address, stream)
        if password:
            link.ask("AUTH", password)
        yield link


def addresses_of(listed: Sequence[str]) -> tuple[Address, ...]:
    """Parse HOST:PORT of each; ValueError if one is malformed."""
    return tuple(Address.parse(text) for text in listed)
