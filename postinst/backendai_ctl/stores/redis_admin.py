"""Administers Redis or Valkey: checks whether it requires a password, and sets one."""

import socket
from dataclasses import dataclass

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import HostError, NotReadyError

_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class RedisAdmin:
    """One server. Passwords are sent over the connection only."""

    address: Address

    def lets_in(self, password: str = "") -> bool:
        """Whether it accepts commands with this password, or without one if it is empty."""
        return self._says(self._dialogue(password, ["PING"])) == "+PONG"

    def set_password(self, password: str) -> None:
        """Make an open server require ``password``, now and after a restart.

        HostError if it cannot save that in its configuration; it is then open as before.
        """
        replies = self._dialogue("", ["CONFIG", "SET", "requirepass", password])
        self._require(replies, "does not take a password")
        self.keep_password(password)

    def keep_password(self, password: str) -> None:
        """Make a server that requires ``password`` do so after a restart, too; errors as above."""
        replies = self._dialogue(password, ["CONFIG", "REWRITE"])
        if self._says(replies) != "+OK":
            self._dialogue(password, ["CONFIG", "SET", "requirepass", ""])
            self._require(replies, "cannot keep a password in its configuration")

    def _require(self, replies: list[str], what: str) -> None:
        if self._says(replies) != "+OK":
            raise HostError(
                f"Redis on {self.address} {what}: {self._says(replies).lstrip('-')}",
                hint="set requirepass in its configuration, and [redis] password in site.toml",
            )

    @staticmethod
    def _says(replies: list[str]) -> str:
        return replies[-1] if replies else ""

    def _dialogue(self, password: str, words: list[str]) -> list[str]:
        """Return the first line of each reply; after a refused login no more."""
        try:
            with socket.create_connection(
                (self.address.host, self.address.port), timeout=_SECONDS
            ) as connection:
                stream = connection.makefile("rb")
                replies: list[str] = []
                for call in [["AUTH", password]] * bool(password) + [words]:
                    connection.sendall(_encoded(call))
                    replies.append(stream.readline(1024).decode(errors="replace").rstrip("\r\n"))
                    if replies[-1].startswith("-"):
                        break
                return replies
        except OSError as error:
            raise NotReadyError(f"Redis on {self.address} does not answer: {error}") from error


def _encoded(words: list[str]) -> bytes:
    parts = [word.encode() for word in words]
    sized = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n%s" % (len(parts), sized)
