"""Administers Redis or Valkey: checks whether it requires a password, and sets one."""

import contextlib
from dataclasses import dataclass

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import HostError
from backendai_ctl.stores.redis import ServerRefusalError, connected

_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class RedisAdmin:
    """One server. Passwords are sent over the connection only."""

    address: Address

    def lets_in(self, password: str = "") -> bool:
        """Whether it accepts commands with this password, or without one if it is empty."""
        try:
            return self._dialogue(password, ["PING"]) == "PONG"
        except ServerRefusalError:
            return False

    def set_password(self, password: str) -> None:
        """Make an open server require ``password``, now and after a restart.

        HostError if it cannot save that in its configuration; it is then open as before.
        """
        try:
            self._dialogue("", ["CONFIG", "SET", "requirepass", password])
        except ServerRefusalError as error:
            raise self._fault("does not take a password", error) from error
        self.keep_password(password)

    def keep_password(self, password: str) -> None:
        """Make a server that requires ``password`` do so after a restart, too; errors as above."""
        try:
            self._dialogue(password, ["CONFIG", "REWRITE"])
        except ServerRefusalError as error:
            with contextlib.suppress(ServerRefusalError):
                self._dialogue(password, ["CONFIG", "SET", "requirepass", ""])
            raise self._fault("cannot keep a password in its configuration", error) from error

    def _fault(self, what: str, error: ServerRefusalError) -> HostError:
        return HostError(
            f"Redis on {self.address} {what}: {error.words}",
            hint="set requirepass in its configuration, and [redis] password in site.toml",
        )

    def _dialogue(self, password: str, words: list[str]) -> object:
        """Return the reply to one command after the login; ServerRefusalError if either fails."""
        with connected(self.address, password, seconds=_SECONDS) as link:
            return link.ask(*words)
