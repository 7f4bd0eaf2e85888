"""The public keys as readers get them: one file for apt, one for rpm.

apt trusts the keys that sign now and no others. rpm has one place for the keys of indexes
and packages, and a package keeps the signature that it was added with: so the file for rpm
keeps the keys that signed packages in the past.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from builder.base.errors import RepoError
from builder.repo.core import Repository
from builder.repo.gpg import Gpg, private_home
from builder.repo.model import KEYS, Index
from builder.repo.sign import Signer


@dataclass(frozen=True, kw_only=True)
class KeyFiles:
    """The content of both files, and when the newest of the signing keys was made."""

    apt: bytes  # binary
    rpm: bytes  # armored, one block for each key
    newest: datetime


def armored_path(name: str) -> PurePosixPath:
    """Return the path of the keys for rpm in the tree of the repository ``name``."""
    return KEYS / f"{name}.asc"


def make_key_files(repository: Repository, signer: Signer) -> KeyFiles:
    """Make both files from the public keys, including keys that signed in the past.

    Raises RepoError if a past key is not available.
    """
    return KeyFiles(
        apt=signer.public_keys(armor=False),
        rpm=signer.public_keys(armor=True) + _former_keys(repository),
        newest=max(key.created for key in signer.keys),
    )


def _former_keys(repository: Repository) -> bytes:
    """Read the keys that signed in the past from where they were published then."""
    wanted = repository.config.signing.former_keys
    if not wanted:
        return b""
    published = repository.public / armored_path(repository.config.name)
    with private_home() as home:
        gpg = Gpg(home)
        if published.is_file():
            gpg.import_keys(published.read_text(encoding="ascii", errors="replace"))
        _refuse_absent(wanted, gpg)
        return b"".join(
            gpg.export([fingerprint], home / "public", armor=True) for fingerprint in wanted
        )


def _refuse_absent(wanted: Sequence[str], gpg: Gpg) -> None:
    known = gpg.list_keys()
    for name in wanted:
        if not any(key.is_called(name) for key in known):
            raise RepoError(
                f"former key {name} was never published by this repository",
                hint="a key moves from [signing] keys to former-keys; it cannot begin there",
            )


def index_key_files(name: str, files: KeyFiles) -> Index:
    """Return both files by their places in the tree."""
    return {armored_path(name): files.rpm, KEYS / f"{name}.gpg": files.apt}
