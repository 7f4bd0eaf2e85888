"""The certificate that a node makes for itself: [tls] self-signed of site.toml.

A renewal keeps the private keys, so that each step replaces one file and can be killed after
it; the authority, which users trust, is made anew only if the node's name changes or it ends.
"""

from collections.abc import Sequence
from pathlib import Path

from backendai_ctl.base.account import Owner
from backendai_ctl.base.certificates import (
    CertificateError,
    examine_certificate,
    verify_certificate,
)
from backendai_ctl.base.errors import HostError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.issue import (
    LOOPBACK,
    issue_authority,
    issue_certificate,
    new_key,
    signs_for,
)
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.temporary import remove_left
from backendai_ctl.services.authorities import certificate_writer

# Earlier than the doctor reports it.
_RENEW_DAYS = 60


def ensure_certificate(layout: Layout, host: str, account: Owner) -> list[Path]:
    """Make the certificate for ``host``, a name or an address, unless a good one is there.

    Returns the files that are new. No other run may be active.
    """
    names = tuple(dict.fromkeys((host.lower(), *LOOPBACK)))
    certificate_writer().ensure_folder(layout.tls, mode=0o755)
    remove_left(layout.tls)
    authority, authority_key = layout.tls / "ca.pem", layout.tls / "ca.key"
    certificate, key = layout.tls / "node.pem", layout.tls / "node.key"
    private = Writer(owner=Owner.caller(), mode=0o600)
    readable = Writer(owner=Owner(uid=Owner.caller().uid, gid=account.gid))
    made: list[Path] = []
    if not _signs(authority, authority_key, names):
        # A new key: nobody can then mistake the former authority for this one.
        private.replace(authority_key, new_key())
        text = issue_authority(_read(authority_key), names)
        certificate_writer().replace(authority, text)
        made.append(authority)
    if made or not _is_good(certificate, key, authority, host):
        if not _is_key(key):
            readable.replace(key, new_key())
            made.append(key)
        text = issue_certificate(_read(authority), _read(authority_key), _read(key), names)
        certificate_writer().replace(certificate, text)
        made.append(certificate)
    return made


def _signs(authority: Path, key: Path, names: Sequence[str]) -> bool:
    """Whether the authority is there, whole, and for these names."""
    try:
        return signs_for(_read(authority), _read(key), names)
    except (FileNotFoundError, ValueError):
        return False


def _is_good(certificate: Path, key: Path, authority: Path, host: str) -> bool:
    try:
        verify_certificate(certificate, key, authority)
        found = examine_certificate(certificate, key, host)
    except (CertificateError, FileNotFoundError):
        return False
    return found.fits_host and found.days_left >= _RENEW_DAYS


def _is_key(path: Path) -> bool:
    try:
        issue_authority(_read(path), LOOPBACK)
    except (FileNotFoundError, ValueError):
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
