"""The certificate of one invite, made in memory: no file has its key."""

import datetime
import hashlib
import os
import ssl
from dataclasses import dataclass

from backendai_ctl.base.libraries import load_library

_NAME = "backendai-invite"
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The server's side of TLS, and the fingerprint by which the new node pins it."""

    context: ssl.SSLContext
    fingerprint: bytes


def make_identity() -> Identity:
    """Make a key and a certificate that nobody signed but itself.

    It is valid for a day before and after now: the fingerprint is checked, and no clock.
    """
    x509 = load_library("cryptography.x509")
    hashes = load_library("cryptography.hazmat.primitives.hashes")
    serialization = load_library("cryptography.hazmat.primitives.serialization")
    ec = load_library("cryptography.hazmat.primitives.asymmetric.ec")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _NAME)])
    now = datetime.datetime.now(datetime.timezone.utc)  # noqa: UP017 - CPython 3.10 has no UTC
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    made = builder.not_valid_before(now - _DAY).not_valid_after(now + _DAY)
    certificate = made.sign(key, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    der: bytes = certificate.public_bytes(serialization.Encoding.DER)
    context = _context(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return Identity(context=context, fingerprint=hashlib.sha256(der).digest())


def _context(pem: bytes) -> ssl.SSLContext:
    """Return a server's context; the library reads files alone, so the file is in memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    descriptor = os.memfd_create(_NAME, os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


def client_context() -> ssl.SSLContext:
    """Return the new node's context: the certificate is compared by its fingerprint, not here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
