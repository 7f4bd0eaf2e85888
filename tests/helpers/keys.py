"""Signing keys made for the tests, in a home that only the tests know."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from builder.repo.gpg import LOOPBACK, Gpg


def has_gpg() -> bool:
    """Whether this machine can make and use keys."""
    return all(shutil.which(name) for name in ("gpg", "gpg-agent"))


needs_gpg = pytest.mark.skipif(
    not has_gpg(),
    reason="gpg is not here: apt-get install gpg gpg-agent",
)


def make_key(
    gpg: Gpg, user: str, *, algorithm: str = "ed25519", expires: str = "2y", passphrase: str = ""
) -> str:
    """Make a signing key; returns its fingerprint."""
    before = {key.fingerprint for key in gpg.list_keys()}
    words: list[str | Path] = [*LOOPBACK, "--quick-generate-key", user, algorithm, "sign", expires]
    gpg.call(words, stdin=passphrase)
    return next(key.fingerprint for key in gpg.list_keys() if key.fingerprint not in before)


def export_secret(gpg: Gpg, fingerprints: Sequence[str], passphrase: str = "") -> str:
    """The secret keys in armored form."""
    return gpg.call([*LOOPBACK, "--armor", "--export-secret-keys", *fingerprints], stdin=passphrase)
