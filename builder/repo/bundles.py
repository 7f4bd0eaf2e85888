"""Statements in bundles of sigstore: made for a package, and checked against it."""

import json
from pathlib import Path

from builder.base.errors import UsageError
from builder.base.files import hash_file
from builder.pack.provenance import CONTENT
from builder.repo.attest import Provenance, check_subject, parse_statement, read_given
from builder.repo.keyless import BUNDLE_SUFFIX, Trust, verify_bundle
from builder.repo.keyless_sign import KeylessSigner


def sign_bundle(package: Path, payload: bytes, signer: KeylessSigner) -> bytes:
    """Return the bundle of a statement, whose subject becomes the package as it is now.

    sigstore accepts no digests but its own: the one of the content becomes an annotation. Raises
    PayloadError if the statement is on another package.
    """
    statement = parse_statement(payload, str(package))
    check_subject(statement, package, whole=False)
    subject = statement["subject"][0]
    content = subject["digest"][CONTENT]
    subject["annotations"] = {**subject.get("annotations", {}), CONTENT: content}
    subject["digest"] = {"sha256": hash_file(package)}
    return signer.sign((json.dumps(statement, indent=1, sort_keys=True) + "\n").encode())


def load_bundle(package: Path, path: Path | None, trust: Trust) -> Provenance:
    """Load the bundle of ``package`` and check it, offline; by default it lies beside the package.

    Raises VerifyError, PayloadError or UsageError.
    """
    found = path or package.with_name(f"{package.name}{BUNDLE_SUFFIX}")
    if path is None and not found.is_file():
        raise UsageError(
            f"{package}: no {found.name} lies beside it",
            hint="name it with --bundle; 'builder attest --sigstore' makes it",
        )
    return judge_bundle(package, read_given(found), str(found), trust)


def judge_bundle(package: Path, data: bytes, label: str, trust: Trust) -> Provenance:
    """Check that a bundle is good, by whom ``trust`` says, and on the package.

    The package may have got a signature of its own since then. Raises VerifyError or PayloadError.
    """
    payload, signatory = verify_bundle(data, label, trust)
    statement = parse_statement(payload, label)
    check_subject(statement, package, whole=False)
    return Provenance(statement=statement, signers=(str(signatory),))
