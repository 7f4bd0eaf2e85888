"""What a sigstore instance signs with: an authority, a CT log, a transparency log, an OIDC issuer.

Everything is real but for its fame: X.509 with embedded SCTs (RFC 6962), a Merkle tree with
signed checkpoints, entries with a signed promise, JSON Web Tokens.
"""

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_SHA256_ECDSA = b"\x04\x03"
_PRECERT = 1


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key of P-256, as every part of sigstore uses."""
    return ec.generate_private_key(ec.SECP256R1())


def der_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public key in DER."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


def id_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The id of a log: the hash of its public key."""
    return hashlib.sha256(der_of(key)).digest()


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Sign with SHA-256."""
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def canonical(table: dict[str, Any]) -> bytes:
    """JSON as RFC 8785 writes it, for ASCII and integers."""
    return json.dumps(table, sort_keys=True, separators=(",", ":")).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _web(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Issuer:
    """An OIDC issuer, whose tokens the authority accepts."""

    url: str = "https://ci.example.org"
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    def token(self, subject: str, *, life: float = 600, **claims: Any) -> str:
        """A token that is valid for ``life`` seconds from now."""
        now = datetime.now(UTC).timestamp()
        table = {
            "iss": self.url,
            "sub": subject,
            "aud": "sigstore",
            "iat": int(now),
            "exp": int(now + life),
            **claims,
        }
        head = _web(canonical({"alg": "ES256", "typ": "JWT"}))
        body = f"{head}.{_web(canonical(table))}"
        r, s = decode_dss_signature(sign(self.key, body.encode()))
        return f"{body}.{_web(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def check(self, token: str) -> dict[str, Any]:
        """The claims of a token of this issuer; raises ValueError for any other."""
        body, _, signature = token.rpartition(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        from_raw = encode_dss_signature(
            int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        )
        try:
            self.key.public_key().verify(from_raw, body.encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise ValueError("the token's signature is not this issuer's") from error
        part = body.split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
        if claims["exp"] <= datetime.now(UTC).timestamp() or claims["aud"] != "sigstore":
            raise ValueError("the token has expired or is for somebody else")
        return claims


@dataclass
class Authority:
    """Fulcio's part: certificates of ten minutes, each recorded by a CT log."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    ct_key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    age: timedelta = timedelta(seconds=1)  # of a certificate when it is made
    life: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "example.org"),
                x509.NameAttribute(NameOID.COMMON_NAME, "sigstore"),
            ]
        )
        now = datetime.now(UTC)
        public = self.key.public_key()
        usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
        self.root = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )

    def certify(self, request: x509.CertificateSigningRequest, uri: str, issuer: str) -> list[str]:
        """The certificate for the key of a request, with the chain."""
        if not request.is_signature_valid:
            raise ValueError("the request is not signed by its key")
        now = datetime.now(UTC)
        usage = dict.fromkeys(_USAGES, False) | {"digital_signature": True}
        public = self.key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.root.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - self.age)
            .not_valid_after(now + self.life)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False
            )
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True
            )
            .add_extension(x509.UnrecognizedExtension(_ISSUER, issuer.encode()), critical=False)
        )
        body = builder.sign(self.key, hashes.SHA256()).tbs_certificate_bytes
        stamps = x509.UnrecognizedExtension(_SCT_LIST, self._stamps(body, now))
        leaf = builder.add_extension(stamps, critical=False).sign(self.key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        return [leaf.public_bytes(pem).decode(), self.root.public_bytes(pem).decode()]

    def _stamps(self, body: bytes, now: datetime) -> bytes:
        """The list of one SCT for a precertificate, in its OCTET STRING: RFC 6962, 3.2 and 3.3."""
        time = struct.pack("!Q", int(now.timestamp() * 1000))
        entry = id_of(self.key) + len(body).to_bytes(3, "big") + body
        signed = b"\0\0" + time + struct.pack("!H", _PRECERT) + entry + b"\0\0"
        signature = sign(self.ct_key, signed)
        stamp = b"\0" + id_of(self.ct_key) + time + b"\0\0" + _SHA256_ECDSA
        stamp += struct.pack("!H", len(signature)) + signature
        listed = struct.pack("!H", len(stamp)) + stamp
        text = struct.pack("!H", len(listed)) + listed
        return _octets(text)


_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def _octets(data: bytes) -> bytes:
    short = 128
    size = bytes([len(data)]) if len(data) < short else b""
    if not size:
        raw = len(data).to_bytes((len(data).bit_length() + 7) // 8, "big")
        size = bytes([short | len(raw)]) + raw
    return b"\x04" + size + data


@dataclass
class Log:
    """Rekor's part: a Merkle tree of entries, with a promise and a proof for each."""

    origin: str = "rekor.example.org"
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    leaves: list[bytes] = field(default_factory=list)

    def add(self, proposed: dict[str, Any]) -> dict[str, Any]:
        """Record a signed envelope, as the entry that a client gets; raises ValueError if bad."""
        if (proposed["kind"], proposed["apiVersion"]) != ("dsse", "0.0.1"):
            raise ValueError("only dsse 0.0.1 is recorded here")
        content = proposed["spec"]["proposedContent"]
        envelope = json.loads(content["envelope"])
        (pem,) = content["verifiers"]
        payload = base64.b64decode(envelope["payload"])
        kind = envelope["payloadType"].encode()
        signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        (row,) = envelope["signatures"]
        public = x509.load_pem_x509_certificate(base64.b64decode(pem)).public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(base64.b64decode(row["sig"]), signed, ec.ECDSA(hashes.SHA256()))
        spec = {
            "envelopeHash": _hash(content["envelope"].encode()),
            "payloadHash": _hash(payload),
            "signatures": [{"signature": row["sig"], "verifier": pem}],
        }
        body = canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        self.leaves.append(hashlib.sha256(b"\0" + body).digest())
        return self._entry(body, len(self.leaves) - 1)

    def _entry(self, body: bytes, index: int) -> dict[str, Any]:
        promised = {
            "body": _text(body),
            "integratedTime": int(datetime.now(UTC).timestamp()),
            "logID": id_of(self.key).hex(),
            "logIndex": index,
        }
        proof = {
            "logIndex": index,
            "treeSize": len(self.leaves),
            "rootHash": tree_hash(self.leaves).hex(),
            "hashes": [node.hex() for node in audit_path(index, self.leaves)],
            "checkpoint": self._checkpoint(),
        }
        promise = _text(sign(self.key, canonical(promised)))
        uuid = self.leaves[index].hex()
        verification = {"inclusionProof": proof, "signedEntryTimestamp": promise}
        return {uuid: {**promised, "verification": verification}}

    def _checkpoint(self) -> str:
        note = f"{self.origin} - 1\n{len(self.leaves)}\n{_text(tree_hash(self.leaves))}\n"
        signature = id_of(self.key)[:4] + sign(self.key, note.encode())
        return f"{note}\n— {self.origin} {_text(signature)}\n"


def _hash(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def tree_hash(leaves: list[bytes]) -> bytes:
    """The hash of a Merkle tree: RFC 6962, 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    both = tree_hash(leaves[:split]) + tree_hash(leaves[split:])
    return hashlib.sha256(b"\1" + both).digest()


def audit_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """The proof that a leaf is in the tree: RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*audit_path(index, leaves[:split]), tree_hash(leaves[split:])]
    return [*audit_path(index - split, leaves[split:]), tree_hash(leaves[:split])]


def _split(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)
