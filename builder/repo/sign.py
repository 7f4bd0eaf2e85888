"""Signs a repository with GnuPG: finds the keys, opens them, and makes the signatures.

A key comes from the user's own agent, or from a file or the environment into a
throw-away home that only this process can read. A passphrase goes to gpg by a
descriptor, never as an argument.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from builder.base import log
from builder.base.errors import RepoError, ToolError
from builder.repo.gpg import LOOPBACK, Gpg, private_home
from builder.repo.gpg_output import Key

KEY_VARIABLE = "BUILDER_SIGNING_KEY"
KEY_FILE_VARIABLE = "BUILDER_SIGNING_KEY_FILE"
PASSPHRASE_VARIABLE = "BUILDER_SIGNING_PASSPHRASE"
PASSPHRASE_FILE_VARIABLE = "BUILDER_SIGNING_PASSPHRASE_FILE"
EXPIRY_WARNING = timedelta(days=60)
_DIGEST = "SHA512"


@dataclass(frozen=True, kw_only=True)
class KeySource:
    """The source of the secret keys and their passphrase; without a key, the agent."""

    key: str | None = field(default=None, repr=False)  # armored
    passphrase: str | None = field(default=None, repr=False)


def find_source(
    key_file: Path | None = None,
    passphrase_file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> KeySource:
    """Return the key and passphrase that options or the environment name."""
    named = key_file or _path(environment.get(KEY_FILE_VARIABLE))
    key = _read(named) if named else environment.get(KEY_VARIABLE)
    secret = passphrase_file or _path(environment.get(PASSPHRASE_FILE_VARIABLE))
    passphrase = _read(secret).rstrip("\r\n") if secret else environment.get(PASSPHRASE_VARIABLE)
    return KeySource(key=key or None, passphrase=passphrase)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise RepoError(
            f"cannot read {path}: {reason}",
            hint="a key file is what 'gpg --export-secret-keys --armor FINGERPRINT' wrote",
        ) from error


class Signer:
    """Signs with all keys of a repository at once; see :func:`open_signer`."""

    def __init__(
        self,
        gpg: Gpg,
        keys: Mapping[str, Key],
        passphrase: str | None,
        work: Path,
        time: datetime | None = None,
    ) -> None:
        self._gpg = gpg
        self._keys = keys  # by the fingerprint that the configuration names
        self._passphrase = passphrase
        self._work = work
        self._time = time

    def at(self, time: datetime) -> "Signer":
        """Return a signer whose signatures state ``time``: the same data, the same signature."""
        return Signer(self._gpg, self._keys, self._passphrase, self._work, time)

    @property
    def home(self) -> Path | None:
        """The GNUPGHOME that has the keys; None is gpg's default."""
        own = os.environ.get("GNUPGHOME")
        return self._gpg.home or (Path(own) if own else None)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The keys as the configuration names them; a package gets the first one's signature."""
        return tuple(self._keys)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys."""
        return tuple(self._keys.values())

    @property
    def users(self) -> tuple[str, ...]:
        """The keys in the form of gpg's --local-user, where a named subkey is mandatory."""
        return tuple(
            name if key.fingerprint == name else f"{name}!" for name, key in self._keys.items()
        )

    def detach(self, data: bytes, *, armor: bool = True, only_first: bool = False) -> bytes:
        """Make a detached signature, by every key or by the first alone."""
        form = ["--armor", "--detach-sign"] if armor else ["--detach-sign"]
        return self._sign(form, data, self.users[:1] if only_first else self.users)

    def detach_by(self, user: str, data: bytes) -> bytes:
        """Make a detached signature by one of :attr:`users`."""
        return self._sign(["--detach-sign"], data, [user])

    def clearsign(self, data: bytes) -> bytes:
        """Return ``data`` with its signatures inline, as in InRelease."""
        return self._sign(["--clearsign"], data, self.users)

    def public_keys(self, *, armor: bool) -> bytes:
        """Return all public keys, as a keyring.

        The armored form has one block for each: rpm reads only the first key of a block.
        """
        wanted = [key.fingerprint for key in self.keys]
        target = self._work / "public"
        if not armor:
            return self._gpg.export(wanted, target, armor=False)
        return b"".join(
            self._gpg.export([fingerprint], target, armor=True) for fingerprint in wanted
        )

    def unlock(self) -> None:
        """Pass the passphrase to the agent, for a program that calls gpg by itself."""
        if self._passphrase is not None:
            self.detach(b"unlock")

    def _sign(self, form: Sequence[str], data: bytes, users: Sequence[str]) -> bytes:
        source, target = self._work / "data", self._work / "signed"
        source.write_bytes(data)
        target.unlink(missing_ok=True)
        unlock = LOOPBACK if self._passphrase is not None else ()
        options = [*unlock, "--digest-algo", _DIGEST, "--no-emit-version"]
        if self._time is not None:
            options += ["--faked-system-time", f"{self._time.astimezone(UTC):%Y%m%dT%H%M%S}!"]
        for user in users:
            options += ["--local-user", user]
        try:
            self._gpg.call([*options, "--output", target, *form, source], stdin=self._passphrase)
        except ToolError as error:
            raise RepoError(
                f"gpg could not sign:\n{error.message}", hint=_sign_hint(error.message)
            ) from error
        return target.read_bytes()


def _sign_hint(message: str) -> str:
    text = message.lower()
    if "passphrase" in text or "pinentry" in text or "inappropriate ioctl" in text:
        return (
            f"give the key's passphrase by --passphrase-file, {PASSPHRASE_FILE_VARIABLE} or "
            f"{PASSPHRASE_VARIABLE}"
        )
    return "try the key by hand: echo | gpg --clearsign --local-user FINGERPRINT"


@contextmanager
def open_signer(fingerprints: Sequence[str], source: KeySource, now: datetime) -> Iterator[Signer]:
    """Open a signer with the keys of these fingerprints.

    Raises RepoError if a key is absent, expired, revoked or too weak.
    """
    if not fingerprints:
        raise RepoError(
            "no signing key is configured, and apt and dnf refuse what is not signed",
            hint='name it in repo.toml: [signing] keys = ["FINGERPRINT"]; '
            "'gpg --quick-gen-key \"Name <mail>\" rsa4096 sign 2y' makes one",
        )
    with private_home() as work:
        gpg = Gpg(work if source.key else None)
        if source.key:
            gpg.import_keys(source.key, passphrase=source.passphrase)
        available = gpg.list_keys(secret=True)
        keys = {name: _usable(name, available, bool(source.key), now) for name in fingerprints}
        yield Signer(gpg, keys, source.passphrase, work)


def _usable(name: str, available: Sequence[Key], given: bool, now: datetime) -> Key:
    key = next((key for key in available if key.is_called(name)), None)
    if key is None:
        where = "what was given" if given else "the user's keyring"
        listed = ", ".join(key.fingerprint for key in available) or "none"
        raise RepoError(
            f"{where} has no secret key {name}, which repo.toml names; it has: {listed}",
            hint=f"give it by --key-file, {KEY_FILE_VARIABLE} or {KEY_VARIABLE}, "
            "or fix [signing] keys in repo.toml",
        )
    if key.revoked:
        raise RepoError(f"key {name} ({key.user}) is revoked", hint="make a new one and name it")
    if key.problem:
        raise RepoError(f"key {name} ({key.user}): {key.problem}", hint="make a new one")
    expires = key.expires_as(name)
    if expires and expires <= now:
        raise RepoError(
            f"key {name} ({key.user}) expired on {expires:%Y-%m-%d}",
            hint=f"prolong it: gpg --quick-set-expire {name} 2y; then publish the keyring again",
        )
    if expires and expires - now < EXPIRY_WARNING:
        log.warn(
            f"key {name} ({key.user}) expires on {expires:%Y-%m-%d}: "
            "prolong it or add its successor to [signing] keys now"
        )
    return key
