"""The line that an invite is: where the first node serves, by which certificate, for which token.

PREFIX, then in base64: the certificate's SHA-256, the token, the rest as JSON, a checksum.
"""

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass, field

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import HostError, InputError

FINGERPRINT_BYTES = 32
TOKEN_BYTES = 18
_FORMAT = 1
_PREFIX = re.compile(r"backendai-join-([0-9]{1,4})\.")
_CHECK_BYTES = 4
_MAX_CHARS = 2000
_MAX_TIME = 1 << 35  # some thousand years; no library counts further
_AGAIN = "copy the whole line that `backendai-ctl invite` printed"


@dataclass(frozen=True, kw_only=True)
class Invite:
    """One invite, as the new node knows it."""

    address: Address
    role: str
    release: str  # of the first node; empty if unknown there
    cluster: str
    expires: int  # seconds since the epoch, by the first node's clock
    fingerprint: bytes
    token: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """What identifies the invite and reveals nothing of the token."""
        return hashlib.sha256(b"backendai invite " + self.token).hexdigest()[:16]

    def __str__(self) -> str:
        rest = [str(self.address), self.role, self.release, self.cluster, self.expires]
        body = self.fingerprint + self.token + json.dumps(rest, separators=(",", ":")).encode()
        text = base64.urlsafe_b64encode(body + _check_of(body)).decode().rstrip("=")
        return f"backendai-join-{_FORMAT}.{text}"


def parse_invite(text: str) -> Invite:
    """Return the invite in ``text``, in which blanks and newlines mean nothing.

    Raises InputError if it is none or incomplete, and HostError if it is of a newer release's
    form. No message has a part of the text.
    """
    line = "".join(text.split())
    found = _PREFIX.match(line)
    if found is None or len(line) > _MAX_CHARS:
        raise InputError("this is no invite: it begins with backendai-join-", hint=_AGAIN)
    if int(found[1]) > _FORMAT:
        raise newer_release("a newer release")
    body = _decoded(line[found.end() :])
    fingerprint, rest = body[:FINGERPRINT_BYTES], body[FINGERPRINT_BYTES:]
    try:
        address, role, release, cluster, expires = json.loads(rest[TOKEN_BYTES:])
        return Invite(
            address=Address.parse(str(address)),
            role=str(role),
            release=str(release),
            cluster=str(cluster),
            expires=_time(expires),
            fingerprint=fingerprint,
            token=rest[:TOKEN_BYTES],
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError("the invite is damaged", hint=_AGAIN) from error


def _time(value: object) -> int:
    found = int(str(value))
    if not 0 <= found < _MAX_TIME:
        raise ValueError("no time")
    return found


def newer_release(release: str) -> HostError:
    """Return the error for an invite that this node is too old for."""
    return HostError(
        f"the invite is of {release}, which is newer than this node's packages",
        hint="upgrade the packages of this node first, to those of the first node",
    )


def _decoded(text: str) -> bytes:
    """Return the body of a line; InputError if it is cut off or changed."""
    try:
        padded = text + "=" * (-len(text) % 4)
        data = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    if len(body) <= FINGERPRINT_BYTES + TOKEN_BYTES or check != _check_of(body):
        raise InputError("the invite is incomplete or was changed on its way", hint=_AGAIN)
    return body


def _check_of(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_CHECK_BYTES]
