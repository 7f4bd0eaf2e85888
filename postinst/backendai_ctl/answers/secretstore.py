"""Secrets and key pairs of this host: made once, then only read."""

import importlib
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.base.errors import HostError
from backendai_ctl.base.files import Writer, private_writer

# Makes NAME.key and NAME.key_secret in a folder.
KeyPairMaker = Callable[[Path, str], None]

_BYTES = 32
# What a service reads in this folder itself; systemd/backendai.tmpfiles.conf and the service's
# unit name it, too. Configurations have copies of all others, which are root's alone.
READ_BY_SERVICES = frozenset({"manager-rpc.key_secret"})
_PAIR = (".key", ".key_secret")


def make_curve_pair(folder: Path, name: str) -> None:
    """Make a ZeroMQ CURVE pair, the kind that manager and agents talk by.

    The same call as `backend.ai mgr generate-rpc-keypair`, which takes four
    seconds to start and prints the secret key.
    """
    # Only the service's own CPython has it.
    importlib.import_module("zmq.auth.certs").create_certificates(folder, name)


@dataclass(frozen=True, kw_only=True)
class SecretStore:
    """The folder of secrets; a name begins with the service that owns it.

    To give several nodes the same secrets, copy the folder before installing.
    """

    folder: Path
    writer: Writer
    make_pair: KeyPairMaker = make_curve_pair

    def writer_of(self, name: str) -> Writer:
        """What writes the file called so: for root alone, unless a service reads it."""
        return self.writer if name in READ_BY_SERVICES else private_writer()

    def secret(self, name: str) -> str:
        """The secret called so, made now if this host has none."""
        path = self.folder / name
        if not path.exists():
            self.writer_of(name).create(path, secrets.token_urlsafe(_BYTES) + "\n")
        value = _read(path).strip()
        if not value:
            raise HostError(
                f"{path} is empty", hint=f"remove it and run this again, or write the {name} in it"
            )
        return value

    def made(self) -> list[str]:
        """The secrets that this host has and that can be read; no key pairs."""
        found = []
        for path in self.folder.glob("[!.]*"):
            if path.suffix not in _PAIR:
                with suppress(HostError):
                    found.append(_read(path).strip())
        return found

    def public_half(self, name: str) -> Path:
        """Where the public half of the key pair called so is, if this host has it."""
        return self.folder / f"{name}.key"

    def ensure_pair(self, name: str) -> Path:
        """The secret half of the key pair called so, made now if this host has none."""
        secret, public = self.folder / f"{name}.key_secret", self.folder / f"{name}.key"
        if secret.exists():
            return secret
        made = self.folder / f".{name}.backendai-tmp"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700)
        try:
            self.make_pair(made, name)
            # The secret half last: it is what says that the pair is complete.
            self.writer_of(public.name).adopt(made / public.name, public)
            self.writer_of(secret.name).adopt(made / secret.name, secret)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return secret


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HostError(f"cannot read {path}: {error}") from error
