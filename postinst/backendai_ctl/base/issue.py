"""Issues a node's certificate, and the authority that signs it, as texts in PEM.

The authority can sign for the names of its node alone: a stolen key of it makes no
certificate for another site that a browser would accept.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address, ip_network

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_AUTHORITY_DAYS = 3650
_CERTIFICATE_DAYS = 180
# A clock that is behind this host's must accept the certificate, too.
_EARLY = timedelta(hours=1)
_MAX_COMMON_NAME = 64
_UTC = timezone.utc  # noqa: UP017 - CPython 3.10 has no UTC


def new_key() -> str:
    """Return a new private key."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def issue_authority(key: str, names: Sequence[str]) -> str:
    """Return the certificate of an authority that signs for ``names`` alone.

    Names are those of DNS, or addresses. ValueError if ``key`` is broken.
    """
    signing_key = _load_key(key)
    subject = _subject(f"Backend.AI authority of {names[0]}")
    certificate = (
        _builder(subject, subject, signing_key.public_key(), _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(_constraints(names), critical=True)
        .add_extension(_identifier(signing_key.public_key()), critical=False)
        .sign(signing_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def signs_for(authority: str, key: str, names: Sequence[str]) -> bool:
    """Whether the authority can sign a new certificate for ``names``; ValueError if broken."""
    certificate = x509.load_pem_x509_certificate(authority.encode())
    is_own = certificate.public_key() == _load_key(key).public_key()
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return False
    end = datetime.now(_UTC) + timedelta(days=_CERTIFICATE_DAYS)
    return is_own and found == _constraints(names) and certificate.not_valid_after_utc > end


def issue_certificate(authority: str, authority_key: str, key: str, names: Sequence[str]) -> str:
    """Return a certificate of a server for ``names``; ValueError if any of the texts is broken."""
    signer = x509.load_pem_x509_certificate(authority.encode())
    signing_key, own = _load_key(authority_key), _load_key(key).public_key()
    signers_identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        _identifier(signing_key.public_key())
    )
    certificate = (
        _builder(_subject(names[0]), signer.subject, own, _CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(list(map(_name, names))), critical=False)
        .add_extension(_identifier(own), critical=False)
        .add_extension(signers_identifier, critical=False)
        .sign(signing_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _load_key(text: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(text.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not a key of an elliptic curve")  # noqa: TRY004 - the text is wrong
    return key


def _constraints(names: Sequence[str]) -> x509.NameConstraints:
    permitted = [_subtree(name) for name in names]
    return x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(_UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + timedelta(days=days))
    )


def _subject(text: str) -> x509.Name:
    # Clients compare the names below; this one is for people, and X.509 limits its length.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:_MAX_COMMON_NAME])])


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _subtree(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_network(text))
    except ValueError:
        return x509.DNSName(text)


def _identifier(key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
