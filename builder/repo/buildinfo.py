"""Signs the .buildinfo of a deb as Debian does, clear-signed, and checks it: deb-buildinfo(5)."""

from collections.abc import Collection
from typing import Protocol

from builder.base.errors import PayloadError, VerifyError
from builder.inspect.deb822 import decode, split_control
from builder.inspect.streams import DamagedError
from builder.repo.attest import Keyring, good_signers
from builder.repo.sign import Signer

_MARK = b"-----BEGIN PGP SIGNED MESSAGE-----"


class Built(Protocol):
    """The deb that a .buildinfo is of."""

    @property
    def name(self) -> str:
        """The name of the package."""
        ...

    @property
    def version(self) -> str:
        """The version."""
        ...

    @property
    def arch(self) -> str:
        """The architecture as dpkg spells it."""
        ...


def is_signed(data: bytes) -> bool:
    """Return whether a .buildinfo is clear-signed, by whomever."""
    return data.startswith(_MARK)


def sign_buildinfo(data: bytes, signer: Signer) -> bytes:
    """Return the .buildinfo clear-signed by all keys; one that is signed stays as it is."""
    return data if is_signed(data) else signer.clearsign(data)


def check_buildinfo(
    data: bytes, label: str, package: Built, hashes: Collection[str], keyring: Keyring | None
) -> None:
    """Check that a .buildinfo is of this package, and who signed it if it is signed.

    ``hashes`` are the sha256 of the deb: as it was built, and as a repository signed it. A signed
    one needs the keyring. Raises VerifyError or PayloadError.
    """
    text = _verified(data, label, keyring) if is_signed(data) else data
    try:
        fields = {field.key: field.value for field in split_control(decode(text))}
    except DamagedError as error:
        raise VerifyError(f"{label}: is no .buildinfo: {error}") from error
    own = {"binary": package.name, "version": package.version, "architecture": package.arch}
    for name, value in own.items():
        if value not in fields.get(name, "").split():
            raise PayloadError(
                f"{label}: its {name} is {fields.get(name) or 'missing'}, "
                f"the package beside it says {value}"
            )
    rows = [row.split() for row in fields.get("checksums-sha256", "").splitlines()]
    if not any(row and row[0] in hashes for row in rows):
        raise PayloadError(
            f"{label}: no Checksums-Sha256 is that of the package beside it",
            hint="keep both from the same build: 'builder build' writes them",
        )


def _verified(data: bytes, label: str, keyring: Keyring | None) -> bytes:
    """Return the text that a key of the keyring has signed."""
    if keyring is None:
        raise VerifyError(f"{label}: is signed, and no key is known that could verify it")
    with keyring.open() as gpg:
        assert gpg.home is not None
        signed, plain = gpg.home / "signed", gpg.home / "plain"
        signed.write_bytes(data)
        known = {key.fingerprint for key in gpg.list_keys()}
        if not good_signers(gpg.verify(signed), known, label):
            raise VerifyError(f"{label}: no key of {keyring.label} has signed it")
        return gpg.content(signed, plain)
