"""Secrets and key pairs of this host: created once, then only read."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.base.errors import HostError
from backendai_ctl.base.files import Writer, exclusive, private_writer
from backendai_ctl.base.libraries import load_library
from backendai_ctl.base.temporary import new_folder
from backendai_ctl.base.text import value_of

# Creates NAME.key and NAME.key_secret in a folder.
KeyPairMaker = Callable[[Path, str], None]

_BYTES = 32
# Secrets that a service itself reads in this folder; systemd/backendai.tmpfiles.conf and the
# service's unit list them, too. All others are root's alone: configurations have copies.
READ_BY_SERVICES = frozenset({"manager-rpc.key_secret"})
_PAIR = (".key", ".key_secret")


def make_curve_pair(folder: Path, name: str) -> None:
    """Create a ZeroMQ CURVE pair, as used between manager and agents.

    Makes the same call as `backend.ai mgr generate-rpc-keypair`, which takes four
    seconds to start and prints the secret key.
    """
    load_library("zmq.auth.certs").create_certificates(folder, name)


@dataclass(frozen=True, kw_only=True)
class SecretStore:
    """The folder of secrets; a name begins with the service that owns it.

    To give several nodes the same secrets, copy the folder before installing.
    """

    folder: Path
    writer: Writer
    make_pair: KeyPairMaker = make_curve_pair

    def writer_of(self, name: str) -> Writer:
        """Return the writer of the file ``name``: for root alone, unless a service reads it."""
        return self.writer if name in READ_BY_SERVICES else private_writer()

    def secret(self, name: str) -> str:
        """Return the secret ``name``; create it if this host has none."""
        path = self.folder / name
        if not path.exists():
            self.writer_of(name).create(path, secrets.token_urlsafe(_BYTES) + "\n")
        value = value_of(_read(path))
        if not value:
            raise HostError(
                f"{path} is empty", hint=f"remove it and run this again, or write the {name} in it"
            )
        return value

    def made(self) -> list[str]:
        """Return the readable secrets of this host, without key pairs."""
        found = []
        for path in self.folder.glob("[!.]*"):
            if path.suffix not in _PAIR:
                with suppress(HostError):
                    found.append(value_of(_read(path)))
        return found

    def public_half(self, name: str) -> Path:
        """Return the path of a key pair's public half, if this host has the pair."""
        return self.folder / f"{name}.key"

    def ensure_pair(self, name: str) -> Path:
        """Return the path of a key pair's secret half; create the pair if this host has none."""
        secret, public = self.folder / f"{name}.key_secret", self.folder / f"{name}.key"
        if secret.exists():
            return secret
        with exclusive(self.folder):
            if not secret.exists():
                self._make_pair(name, secret, public)
        return secret

    def _make_pair(self, name: str, secret: Path, public: Path) -> None:
        with new_folder(self.folder / name) as (made, _):
            self.make_pair(made, name)
            # The secret half comes last: it marks the pair as complete.
            self.writer_of(public.name).adopt(made / public.name, public)
            self.writer_of(secret.name).adopt(made / secret.name, secret)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HostError(f"cannot read {path}: {error}") from error
