"""Examines certificates and keys as a browser would: by a handshake in memory."""

import contextlib
import re
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    "-----BEGIN (?:TRUSTED )?CERTIFICATE-----.*?-----END (?:TRUSTED )?CERTIFICATE-----", re.DOTALL
)
_DAY_SECONDS = 86400
_MAX_ROUNDS = 10
_FEW_DAYS = 30
# OpenSSL's numbers of reasons why a certificate is refused.
_WRONG_HOST = {62, 64}  # by name, by address
_REASONS = {
    9: "is not valid yet",
    10: "has expired",
    26: "is not for servers",
}


class CertificateError(ValueError):
    """The reason why a certificate, or its key, cannot be used; it follows the file's name."""

    def __init__(self, reason: str, *, is_of_key: bool = False) -> None:
        super().__init__(reason)
        self.is_of_key = is_of_key


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate that a server can show."""

    days_left: int
    fits_host: bool

    @property
    def ends_soon(self) -> bool:
        """Whether it is time to renew it."""
        return self.days_left < _FEW_DAYS


def read_authorities(path: Path) -> str:
    """Return the certificates in a PEM file, and nothing else of it.

    Raises CertificateError, whose reason follows the file's name, if the file is not suitable.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CertificateError("is no PEM file") from error
    except OSError as error:
        raise CertificateError((error.strerror or "unreadable").lower()) from error
    found = _BLOCK.findall(text)
    if not found:
        raise CertificateError("holds no certificate in PEM")
    pem = "\n".join(found) + "\n"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        reason = str(getattr(error, "reason", None) or error).replace("_", " ").lower()
        raise CertificateError(f"holds a broken certificate: {reason}") from error
    return pem


def verify_certificate(certificate: Path, key: Path, authorities: str | Path) -> None:
    """Raise CertificateError unless clients that trust ``authorities`` accept the certificate.

    Authorities are texts in PEM, or a file of them. Names are not compared. It is as strict as
    Python's default, which the services use.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if isinstance(authorities, Path):
        client.load_verify_locations(cafile=authorities)
    elif authorities:
        client.load_verify_locations(cadata=authorities)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    _handshake(_server(certificate, key), client, None)


def examine_certificate(certificate: Path, key: Path, host: str) -> Certificate:
    """Return what is known of the pair; CertificateError if browsers could not use it.

    The certificate itself is trusted here: who signed it is the browsers' business.
    """
    server = _server(certificate, key)
    peer = _handshake(server, _client(certificate), None)
    fits_host = True
    if host:
        try:
            _handshake(server, _client(certificate), host)
        except ssl.SSLCertVerificationError as error:
            if error.verify_code not in _WRONG_HOST:
                raise CertificateError(_reason(error)) from error
            fits_host = False
        except CertificateError:
            raise
        except ValueError:  # a name that no certificate can have
            fits_host = False
    ends = ssl.cert_time_to_seconds(str(peer["notAfter"]))
    return Certificate(days_left=int(ends - time.time()) // _DAY_SECONDS, fits_host=fits_host)


def _server(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asked: list[bool] = []

    def no_pass_phrase() -> str:
        asked.append(True)
        return ""

    try:
        context.load_cert_chain(certificate, key, password=no_pass_phrase)
    except (ssl.SSLError, ValueError) as error:
        if asked:
            raise CertificateError("has a pass phrase", is_of_key=True) from error
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            raise CertificateError("does not belong to the certificate", is_of_key=True) from error
        if not _has_certificate(certificate):
            raise CertificateError("holds no certificate in PEM") from error
        raise CertificateError("holds no private key in PEM", is_of_key=True) from error
    return context


def _has_certificate(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, ValueError):
        return False
    return True


def _client(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, host: str | None
) -> dict[str, object]:
    """Return the server's certificate as the client sees it.

    Raises SSLCertVerificationError if only the host's name is wrong, else CertificateError.
    """
    client.check_hostname = host is not None
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(to_client, to_server, server_hostname=host)
    callee = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        for _ in range(_MAX_ROUNDS):
            for side in (caller, callee):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
            found = caller.getpeercert() if caller.version() else None
            if found:
                return dict(found)
    except ssl.SSLCertVerificationError as error:
        if host is not None:
            raise
        raise CertificateError(_reason(error)) from error
    except ssl.SSLError as error:
        raise CertificateError(f"cannot be used: {error.reason}") from error
    raise CertificateError("cannot be used: the handshake does not end")


def _reason(error: ssl.SSLCertVerificationError) -> str:
    return _REASONS.get(error.verify_code, f"is refused: {error.verify_message}")
