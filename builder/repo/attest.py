"""Signs statements on packages, and checks them: DSSE envelopes with OpenPGP signatures."""

import base64
import binascii
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.base.errors import PayloadError, UsageError, VerifyError
from builder.base.files import hash_file
from builder.base.parse import TextError, parse_json_object
from builder.inspect.content import content_digest
from builder.pack.provenance import (
    BUILD_TYPE,
    CONTENT,
    PREDICATE_TYPE,
    PROVENANCE_SUFFIX,
    STATEMENT_TYPE,
)
from builder.repo.gpg import Gpg, private_home
from builder.repo.gpg_output import UNKNOWN_KEY, Verdict
from builder.repo.sign import Signer

ENVELOPE_SUFFIX = ".intoto.json"  # beside the package
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """A statement on a package, and who signed it."""

    statement: Mapping[str, Any]
    signers: tuple[str, ...]  # fingerprints, or who sigstore names; none if it is not signed

    @property
    def definition(self) -> Mapping[str, Any]:
        """SLSA's build definition."""
        found: Mapping[str, Any] = self.statement["predicate"]["buildDefinition"]
        return found

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters that the build was called with."""
        found: Mapping[str, Any] = self.definition["externalParameters"]
        return found

    @property
    def inputs(self) -> Sequence[Mapping[str, Any]]:
        """Every input."""
        found: Sequence[Mapping[str, Any]] = self.definition["resolvedDependencies"]
        return found


def encode_for_signing(payload: bytes, kind: str = PAYLOAD_TYPE) -> bytes:
    """Return the bytes that a DSSE signature covers: type and payload with their lengths."""
    name = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


def sign_statement(package: Path, payload: bytes, signer: Signer) -> bytes:
    """Return the signed envelope of a statement, whose subject becomes the package as it is now.

    A repository may have signed the package since it was built; nothing else may have changed.
    Raises PayloadError if the statement is on another package.
    """
    statement = parse_statement(payload, str(package))
    check_subject(statement, package, whole=False)
    statement["subject"][0]["digest"]["sha256"] = hash_file(package)
    text = (json.dumps(statement, indent=1, sort_keys=True) + "\n").encode()
    signatures = [
        {
            "keyid": fingerprint,
            "sig": base64.b64encode(signer.detach_by(user, encode_for_signing(text))).decode(),
        }
        for fingerprint, user in zip(signer.fingerprints, signer.users, strict=True)
    ]
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(text).decode(),
        "signatures": signatures,
    }
    return (json.dumps(envelope, indent=1, sort_keys=True) + "\n").encode()


@dataclass(frozen=True, kw_only=True)
class Keyring:
    """Public keys, and what messages call them."""

    armored: str
    label: str
    home: Gpg | None = None  # has them imported already, for many statements

    @contextmanager
    def open(self) -> Iterator[Gpg]:
        """Yield a gpg that has these keys and no others, in a home of its own."""
        if self.home is not None:
            yield self.home
            return
        with private_home() as home:
            gpg = Gpg(home)
            gpg.import_keys(self.armored)
            yield gpg


def load_provenance(package: Path, path: Path | None, keyring: Path | None) -> Provenance:
    """Load the statement on ``package`` and check it, offline.

    ``path`` is the envelope or the unsigned statement; by default it lies beside the package.
    With a ``keyring`` of public keys one of them must have signed. Raises VerifyError.
    """
    found = path or _beside(package)
    keys = None
    if keyring:
        armored = read_given(keyring).decode("utf-8", "replace")
        keys = Keyring(armored=armored, label=str(keyring))
    return judge_provenance(package, read_given(found), str(found), keys)


def judge_provenance(
    package: Path, data: bytes, label: str, keyring: Keyring | None, *, built: str = ""
) -> Provenance:
    """Check that ``data`` is a statement on ``package``, and who signed it.

    ``built`` is the sha256 of the package before a repository signed it, where that is known:
    an envelope may be on that file, too. Raises VerifyError or PayloadError.
    """
    table = _parse(data, label)
    signers: tuple[str, ...] = ()
    payload = data
    if "payload" in table:
        payload = _payload(table, label)
        signers = _verify_signatures(table, payload, keyring, label) if keyring else ()
    if keyring and not signers:
        raise VerifyError(
            f"{label}: no key of {keyring.label} has signed it",
            hint="'builder attest' signs; without --keyring only the content is compared",
        )
    statement = parse_statement(payload, label)
    on_it = statement["subject"][0]["digest"]["sha256"] == built
    check_subject(statement, package, whole=bool(signers) and not on_it)
    return Provenance(statement=statement, signers=signers)


def check_statement(package: Path, data: bytes, label: str) -> None:
    """Check that ``data`` is an unsigned statement on ``package``; raises otherwise."""
    check_subject(parse_statement(data, label), package, whole=False)


def statement_of(envelope: bytes, label: str) -> bytes:
    """Return the statement within an envelope, whoever signed that. Raises VerifyError."""
    return _payload(_parse(envelope, label), label)


def _beside(package: Path) -> Path:
    for suffix in (ENVELOPE_SUFFIX, PROVENANCE_SUFFIX):
        path = package.with_name(f"{package.name}{suffix}")
        if path.is_file():
            return path
    raise UsageError(
        f"{package}: no {ENVELOPE_SUFFIX} or {PROVENANCE_SUFFIX} lies beside it",
        hint="name it with --provenance",
    )


def read_given(path: Path) -> bytes:
    """Return the content of a file that somebody named; raises UsageError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _parse(data: bytes, label: str) -> dict[str, Any]:
    try:
        return parse_json_object(data)
    except TextError as error:
        raise VerifyError(f"{label}: {error}") from error


def _payload(envelope: Mapping[str, Any], label: str) -> bytes:
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise VerifyError(f"{label}: its payload is no in-toto statement")
    return _decode(envelope.get("payload"), label)


def _decode(text: object, label: str) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise VerifyError(f"{label}: holds something that is no base64") from error


def _verify_signatures(
    envelope: Mapping[str, Any], payload: bytes, keyring: Keyring, label: str
) -> tuple[str, ...]:
    """Return the keys of the keyring whose signatures are good; a bad one is an error."""
    listed = envelope.get("signatures")
    rows = listed if isinstance(listed, list) else []
    signatures = [row["sig"] for row in rows if isinstance(row, dict) and "sig" in row]
    good: dict[str, None] = {}
    with keyring.open() as gpg:
        assert gpg.home is not None
        known = {key.fingerprint for key in gpg.list_keys()}
        data, signed = gpg.home / "data", gpg.home / "signature"
        data.write_bytes(encode_for_signing(payload))
        for signature in signatures:
            signed.write_bytes(_decode(signature, label))
            good |= dict.fromkeys(good_signers(gpg.verify(signed, data), known, label))
    return tuple(good)


def good_signers(verdicts: Iterable[Verdict], known: Collection[str], label: str) -> list[str]:
    """Return the known keys whose signatures are good; one that is bad is a VerifyError. Pure."""
    good = []
    for verdict in verdicts:
        if verdict.problem is None and verdict.key in known:
            good.append(verdict.key)
        elif verdict.problem != UNKNOWN_KEY:
            raise VerifyError(f"{label}: the signature by {verdict.key} {verdict.problem}")
    return good


def parse_statement(payload: bytes, label: str) -> dict[str, Any]:
    """Return a statement that this builder wrote, with both digests of its subject.

    Raises VerifyError for any other.
    """
    table = _parse(payload, label)
    kinds = (table.get("_type"), table.get("predicateType"))
    try:
        build_type = table["predicate"]["buildDefinition"]["buildType"]
        subject = table["subject"][0]
        digest = subject["digest"]
        # In a bundle of sigstore, which has no digests but its own.
        noted = subject.get("annotations", {}).get(CONTENT)
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise VerifyError(f"{label}: is no provenance of a package") from error
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE) or build_type != BUILD_TYPE:
        raise VerifyError(f"{label}: is no provenance that this builder wrote")
    if isinstance(digest, dict) and noted:
        digest.setdefault(CONTENT, noted)
    if not isinstance(digest, dict) or not {"sha256", CONTENT} <= digest.keys():
        raise VerifyError(f"{label}: has no digest of the package")
    return table


def check_subject(statement: Mapping[str, Any], package: Path, *, whole: bool) -> None:
    """Check that the statement is on this package: the whole file, or all that is not signature."""
    digest = statement["subject"][0]["digest"]
    if content_digest(package) != digest[CONTENT]:
        raise PayloadError(
            f"{package}: is not the package that the provenance is of",
            hint=f"that one is {statement['subject'][0].get('name')}",
        )
    if whole and hash_file(package) != digest["sha256"]:
        raise PayloadError(
            f"{package}: has another signature than when its provenance was signed",
            hint="run 'builder attest' after the package was signed",
        )
