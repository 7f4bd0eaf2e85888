"""Provenance signed by sigstore: an instance on loopback, and each way in which it can fail."""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from builder.base.errors import ExitCode
from builder.base.files import hash_file
from builder.cli import main
from builder.repo import keyless
from tests.helpers.ports import free_port
from tests.helpers.repos import DebPackage
from tests.helpers.sigstore_authority import Issuer
from tests.helpers.sigstore_server import BEARER, Instance, sigstore_instance
from tests.helpers.statements import statement_on

_VARIABLES = (
    *("BUILDER_SIGSTORE_TOKEN_FILE", "BUILDER_SIGSTORE_TRUST_CONFIG", "SIGSTORE_ID_TOKEN"),
    *("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
)


@pytest.fixture(autouse=True)
def _no_token_of_this_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.fixture
def instance() -> Iterator[Instance]:
    with sigstore_instance() as served:
        yield served


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A deb, with its statement beside it."""
    path = DebPackage().write(tmp_path)
    text = json.dumps(statement_on(path))
    path.with_name(f"{path.name}.provenance.json").write_text(text)
    return path


def _run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def _bundle(package: Path) -> Path:
    return package.with_name(f"{package.name}.sigstore.json")


def _attest(instance: Instance, package: Path, token: str = "") -> Result:
    config, _ = instance.write(package.parent / "trust")
    path = package.parent / "token"
    path.write_text(token or instance.issuer.token(instance.subject))
    words = ("--sigstore", "--trust-config", config, "--identity-token", path)
    return _run("attest", *words, package)


def _verify(instance: Instance, package: Path, **changes: str | Path) -> Result:
    _, root = instance.write(package.parent / "trust")
    options = {
        "trusted-root": root,
        "identity": instance.subject,
        "issuer": instance.issuer.url,
        **changes,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return _run("verify-provenance", package, *words)


def test_a_bundle_verifies_offline_by_the_root_and_the_identity(
    instance: Instance, package: Path
) -> None:
    for _ in range(3):  # proofs in a tree of several entries
        result = _attest(instance, package)
        assert result.exit_code == ExitCode.OK, result.output
    bundle = json.loads(_bundle(package).read_text())
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    subject = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))["subject"][0]
    assert subject["digest"] == {"sha256": hash_file(package)}
    asked = len(instance.log.leaves)
    result = _verify(instance, package)
    assert result.exit_code == ExitCode.OK, result.output
    assert f"signed by   {instance.subject} (by {instance.issuer.url})" in result.output
    assert (
        _verify(
            instance, package, **{"trusted-root": package.parent / "trust/trust-config.json"}
        ).exit_code
        == ExitCode.OK
    )
    assert len(instance.log.leaves) == asked


def test_a_star_stands_for_the_rest_of_an_identity(instance: Instance, package: Path) -> None:
    _attest(instance, package)
    for identity, code in (
        ("https://ci.example.org/packages/release.yml@refs/tags/*", ExitCode.OK),
        ("https://ci.example.org/packages/release.yml@refs/heads/*", ExitCode.VERIFY),
        ("https://ci.example.org/packages/release.yml", ExitCode.VERIFY),
        ("*/v26.9-1", ExitCode.VERIFY),
    ):
        assert _verify(instance, package, identity=identity).exit_code == code


@pytest.mark.parametrize("of", ["github", "gitlab"])
def test_the_token_of_a_ci_job_is_found(
    instance: Instance, package: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    if of == "github":
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{instance.url}/token?api=2")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", BEARER)
    else:
        monkeypatch.setenv("SIGSTORE_ID_TOKEN", instance.issuer.token(instance.subject))
    config, _ = instance.write(package.parent / "trust")
    monkeypatch.setenv("BUILDER_SIGSTORE_TRUST_CONFIG", str(config))
    result = _run("attest", "--sigstore", package)
    assert result.exit_code == ExitCode.OK, result.output
    assert _verify(instance, package).exit_code == ExitCode.OK


def _refused(result: Result, code: ExitCode, said: str) -> None:
    assert result.exit_code == code, result.output
    errors = [line for line in result.output.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, result.output
    assert said in errors[0]


def test_without_a_usable_token_nothing_is_signed(
    instance: Instance, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, _ = instance.write(package.parent / "trust")
    result = _run("attest", "--sigstore", "--trust-config", config, package)
    _refused(result, ExitCode.USAGE, "no identity token is here to sign by")
    assert "id-token: write" in result.output
    for token, said in (
        (instance.issuer.token("x", life=-60), "the identity token expired at 20"),
        (instance.issuer.token("x", aud="other"), "is a token for 'other', not for 'sigstore'"),
        ("secret-that-is-no-token", "is no identity token"),
    ):
        result = _attest(instance, package, token)
        _refused(result, ExitCode.USAGE, said)
        assert token not in result.output
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{instance.url}/token?api=2")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "another job's")
    result = _run("attest", "--sigstore", "--trust-config", config, package)
    _refused(result, ExitCode.FETCH, "the service for identity tokens answers with status 401")
    assert not _bundle(package).exists()


def test_what_the_servers_refuse_is_said_in_one_line(instance: Instance, package: Path) -> None:
    result = _attest(instance, package, Issuer().token(instance.subject))
    _refused(result, ExitCode.REPO, "sigstore's Fulcio refuses: status 400: the token's signature")
    for path, said in (
        ("/api/v2/signingCert", "sigstore's Fulcio refuses: status 500: out of order"),
        ("/api/v1/log/entries", "sigstore's Rekor refuses: status 500: out of order"),
    ):
        instance.broken = {path: (500, "out of order")}
        _refused(_attest(instance, package), ExitCode.REPO, said)
    assert not _bundle(package).exists()
    instance.url = f"http://127.0.0.1:{free_port()}"
    _refused(_attest(instance, package), ExitCode.FETCH, f"cannot reach {instance.url}/api/v2")


def test_who_signed_must_be_who_is_named(instance: Instance, package: Path) -> None:
    _attest(instance, package)
    stranger = {"identity": "https://elsewhere.example.org/x"}
    said = f"is signed by {instance.subject} (by {instance.issuer.url}), not by https://elsewhere"
    _refused(_verify(instance, package, **stranger), ExitCode.VERIFY, said)
    other = _verify(instance, package, issuer="https://other.example.org")
    _refused(other, ExitCode.VERIFY, "not by")
    missing = _run("verify-provenance", package, "--identity", instance.subject)
    _refused(missing, ExitCode.USAGE, "belong together")


def _changed(bundle: dict[str, Any], *path: str | int, by: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(bundle))
    place: Any = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = by(place[path[-1]])
    return copy


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _flip(text: str) -> str:
    data = base64.b64decode(text)
    return _text(bytes([data[0] ^ 1]) + data[1:])


def _slow(text: str) -> str:
    return _text(base64.b64decode(text).replace(b"fast", b"slow"))


def _longer(text: str) -> str:
    return _text(b"0" + base64.b64decode(text))


def test_a_bundle_that_was_changed_anywhere_is_refused(instance: Instance, package: Path) -> None:
    for _ in range(2):
        _attest(instance, package)
    good = json.loads(_bundle(package).read_text())
    entry = ("verificationMaterial", "tlogEntries", 0)
    for path, by in (
        (("dsseEnvelope", "payload"), _slow),
        (("dsseEnvelope", "signatures", 0, "sig"), _longer),
        ((*entry, "integratedTime"), lambda _: "1600000000"),
        ((*entry, "inclusionPromise", "signedEntryTimestamp"), _flip),
        ((*entry, "inclusionProof", "rootHash"), _flip),
        ((*entry, "inclusionProof", "hashes"), lambda _: []),
        ((*entry, "inclusionProof", "checkpoint", "envelope"), lambda text: text.replace("1", "2")),
        ((*entry, "canonicalizedBody"), _flip),
        (("verificationMaterial", "certificate", "rawBytes"), lambda _: _text(b"x")),
        (("mediaType",), lambda _: "application/vnd.dev.sigstore.bundle.v9+json"),
    ):
        _bundle(package).write_text(json.dumps(_changed(good, *path, by=by)))
        _refused(_verify(instance, package), ExitCode.VERIFY, "the bundle is not good")
    _bundle(package).write_text("{")
    _refused(_verify(instance, package), ExitCode.VERIFY, "the bundle is not good")
    _bundle(package).write_text(json.dumps(good))
    assert _verify(instance, package).exit_code == ExitCode.OK


def test_another_package_and_another_root_are_refused(
    instance: Instance, package: Path, tmp_path: Path
) -> None:
    _attest(instance, package)
    with sigstore_instance() as foreign:
        _, root = foreign.write(tmp_path / "foreign")
    result = _verify(instance, package, **{"trusted-root": root})
    _refused(result, ExitCode.VERIFY, "the bundle is not good")
    broken = tmp_path / "broken.json"
    for text in ("{", "{}", json.dumps({"mediaType": "text/plain"})):
        broken.write_text(text)
        result = _verify(instance, package, **{"trusted-root": broken})
        _refused(result, ExitCode.USAGE, "is no root of trust of sigstore")
    gone = _verify(instance, package, **{"trusted-root": tmp_path / "gone"})
    _refused(gone, ExitCode.USAGE, "cannot read")
    DebPackage(content="other").write(tmp_path)
    result = _verify(instance, package)
    _refused(result, ExitCode.PAYLOAD, "is not the package that the provenance is of")


def test_the_public_root_comes_with_sigstore(instance: Instance, package: Path) -> None:
    _attest(instance, package)
    words = ("--identity", instance.subject, "--issuer", instance.issuer.url)
    result = _run("verify-provenance", package, *words)
    _refused(result, ExitCode.VERIFY, "the bundle is not good")


def test_a_certificate_that_had_ended_is_refused(instance: Instance, package: Path) -> None:
    instance.authority.age, instance.authority.life = timedelta(hours=1), timedelta(seconds=-1)
    result = _attest(instance, package)
    _refused(result, ExitCode.USAGE, "has expired meanwhile")


def test_without_the_extra_the_command_that_installs_it_is_named(
    instance: Instance, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _attest(instance, package)
    monkeypatch.setattr(keyless, "find_spec", lambda _name: None)
    for result in (_attest(instance, package), _verify(instance, package)):
        _refused(result, ExitCode.TOOL, "the Python distribution sigstore is not installed")
        assert "make setup-sigstore" in result.output
