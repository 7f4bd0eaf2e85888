"""Signed provenance: what is accepted, and each way in which it can be false."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from builder.base.errors import ExitCode, PayloadError, VerifyError
from builder.base.files import hash_file
from builder.cli import main
from builder.repo.attest import encode_for_signing, load_provenance, sign_statement
from builder.repo.deb_package import sign_deb
from builder.repo.gpg import Gpg
from builder.repo.sign import KeySource, open_signer
from tests.helpers.keys import export_secret, make_key, needs_gpg
from tests.helpers.package_files import DebFile, Payload
from tests.helpers.statements import statement_on

pytestmark = needs_gpg

CONTROL = "Package: a\nVersion: 1-1\nArchitecture: all\nMaintainer: A\nDescription: a\n"


@pytest.fixture(scope="module")
def keys(gpg: Gpg) -> tuple[str, str]:
    return make_key(gpg, "Own <own@example.org>"), make_key(gpg, "Other <other@example.org>")


@pytest.fixture
def keyring(gpg: Gpg, keys: tuple[str, str], tmp_path: Path) -> Path:
    """The public key of the first."""
    path = tmp_path / "own.asc"
    path.write_bytes(gpg.export(keys[:1], tmp_path / "export", armor=True))
    return path


def write_deb(path: Path, content: bytes = b"content") -> Path:
    payload = [Payload(path="/usr/share/a", content=content)]
    path.write_bytes(DebFile(control=CONTROL, payload=payload).build())
    return path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A deb, with its statement beside it."""
    path = write_deb(tmp_path / "a_1-1_all.deb")
    statement = json.dumps(statement_on(path))
    path.with_name(f"{path.name}.provenance.json").write_text(statement, encoding="utf-8")
    return path


def source(gpg: Gpg, *keys: str) -> KeySource:
    return KeySource(key=export_secret(gpg, keys))


def attest(package: Path, gpg: Gpg, *keys: str) -> Path:
    payload = package.with_name(f"{package.name}.provenance.json").read_bytes()
    with open_signer(keys, source(gpg, *keys), datetime.now(UTC)) as signer:
        envelope = sign_statement(package, payload, signer)
    path = package.with_name(f"{package.name}.intoto.json")
    path.write_bytes(envelope)
    return path


def test_what_is_signed_is_dsses_encoding() -> None:
    # The example of the specification, with its own type in place of ours.
    assert encode_for_signing(b"hello world", "http://example.com/HelloWorld") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_a_signed_statement_is_accepted_by_its_key_alone(
    package: Path, gpg: Gpg, keys: tuple[str, str], keyring: Path
) -> None:
    envelope = attest(package, gpg, *keys)
    found = load_provenance(package, None, keyring)
    assert found.signers == keys[:1]  # the other one is not in the keyring
    assert found.parameters["package"] == "a"
    # gpg itself agrees, on the bytes that the specification says.
    row = json.loads(envelope.read_text(encoding="utf-8"))
    data, signature = package.with_name("data"), package.with_name("signature")
    data.write_bytes(encode_for_signing(base64.b64decode(row["payload"])))
    signature.write_bytes(base64.b64decode(row["signatures"][0]["sig"]))
    assert [(v.key, v.problem) for v in gpg.verify(signature, data)] == [(keys[0], None)]


def test_a_package_that_a_repository_signed_is_still_the_one_that_was_built(
    package: Path, gpg: Gpg, keys: tuple[str, str], keyring: Path
) -> None:
    built = hash_file(package)
    with open_signer(keys[:1], source(gpg, keys[0]), datetime.now(UTC)) as signer:
        sign_deb(package, signer)
    assert hash_file(package) != built
    attest(package, gpg, keys[0])
    found = load_provenance(package, None, keyring)
    assert found.statement["subject"][0]["digest"]["sha256"] == hash_file(package)
    with open_signer(keys[1:], source(gpg, keys[1]), datetime.now(UTC)) as signer:
        sign_deb(package, signer)
    with pytest.raises(PayloadError, match="has another signature than"):
        load_provenance(package, None, keyring)


def test_false_provenance_is_refused(
    package: Path, gpg: Gpg, keys: tuple[str, str], keyring: Path
) -> None:
    path = attest(package, gpg, keys[1])
    with pytest.raises(VerifyError, match=r"no key of .* has signed it"):
        load_provenance(package, None, keyring)
    attest(package, gpg, keys[0])
    good = json.loads(path.read_text(encoding="utf-8"))
    changed = base64.b64decode(good["payload"]).replace(b"fast", b"slow")
    for other in (
        {**good, "payload": base64.b64encode(changed).decode()},
        {**good, "payload": "*"},
        {**good, "payloadType": "text/plain"},
        {**good, "signatures": []},
        {**good, "signatures": [{"sig": "AAAA"}]},
        {**good, "signatures": [{"sig": 3}]},
    ):
        path.write_text(json.dumps(other), encoding="utf-8")
        with pytest.raises(VerifyError):
            load_provenance(package, None, keyring)
    path.write_text(json.dumps(good), encoding="utf-8")
    write_deb(package, b"another content")
    with pytest.raises(PayloadError, match="is not the package that the provenance is of"):
        load_provenance(package, None, keyring)
    with pytest.raises(PayloadError, match="is not the package"):
        attest(package, gpg, keys[0])


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "other"},
        {"predicateType": "other"},
        {"subject": []},
        {"subject": [{"digest": {"sha256": "ab"}}]},
        {"predicate": {}},
    ],
)
def test_a_statement_of_another_kind_is_refused(package: Path, change: dict[str, Any]) -> None:
    path = package.with_name(f"{package.name}.provenance.json")
    path.write_text(json.dumps({**statement_on(package), **change}), encoding="utf-8")
    with pytest.raises(VerifyError):
        load_provenance(package, None, None)


def test_the_commands_sign_and_verify(
    package: Path, gpg: Gpg, keys: tuple[str, str], keyring: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.asc"
    secret.write_text(export_secret(gpg, keys[:1]), encoding="utf-8")

    def run(*words: object) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words])

    plain = run("verify-provenance", package)
    assert plain.exit_code == 0
    assert "not checked: no --keyring" in plain.output
    refused = run("verify-provenance", package, "--keyring", keyring)
    assert refused.exit_code == ExitCode.VERIFY
    done = run("attest", package, "--key", keys[0], "--key-file", secret)
    assert done.exit_code == 0, done.output
    done = run("verify-provenance", package, "--keyring", keyring)
    assert done.exit_code == 0, done.output
    assert f"signed by   {keys[0]}" in done.output
    assert f"{'ab' * 32}  w.whl" in done.output
    report = json.loads(run("verify-provenance", package, "--keyring", keyring, "--json").output)
    assert report["signers"] == [keys[0]]
