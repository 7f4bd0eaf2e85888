"""Lines of JSON over TLS between two nodes; all that one side receives has one deadline."""

import json
import socket
import ssl
import time
from collections.abc import Mapping

_CHUNK = 65536


class StreamError(Exception):
    """The other side ended the connection, or sends something else; the message says which."""


class Stream:
    """One connection; ``seconds`` bound all of it, ``most`` the bytes of a line."""

    def __init__(self, peer: ssl.SSLSocket, *, seconds: float, most: int) -> None:
        self._peer = peer
        self._until = time.monotonic() + seconds
        self._most = most
        self._rest = b""

    def send(self, table: Mapping[str, object]) -> None:
        """Send one message."""
        try:
            self._peer.settimeout(self._left())
            self._peer.sendall(json.dumps(table, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            raise StreamError("ended the connection") from error

    def receive(self) -> dict[str, object]:
        """Return the next message."""
        while b"\n" not in self._rest:
            if len(self._rest) > self._most:
                raise StreamError("sends too much")
            self._rest += self._chunk()
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            table = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise StreamError("sends something else than an invite's messages") from error
        if not isinstance(table, dict):
            raise StreamError("sends something else than an invite's messages")
        return table

    def _chunk(self) -> bytes:
        try:
            self._peer.settimeout(self._left())
            data = self._peer.recv(min(_CHUNK, self._most + 1))
        except (socket.timeout, TimeoutError) as error:  # noqa: UP041 - CPython 3.10 is older
            raise StreamError("does not answer") from error
        except OSError as error:
            raise StreamError("ended the connection") from error
        if not data:
            raise StreamError("ended the connection")
        return data

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise StreamError("does not answer in time")
        return left
