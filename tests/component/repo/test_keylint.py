"""Which hosts refuse a key: keys that gpg makes for the test, each with one fault."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.base.errors import ExitCode
from builder.cli import main
from builder.repo.gpg import LOOPBACK, Gpg
from builder.repo.keylint import lint_keys
from tests.helpers.keys import make_key, needs_gpg

pytestmark = needs_gpg

NOW = datetime.now(UTC)


def public(gpg: Gpg, fingerprint: str, folder: Path) -> str:
    return gpg.export([fingerprint], folder / "exported", armor=True).decode()


@pytest.fixture(scope="module")
def sound(gpg: Gpg) -> str:
    return make_key(gpg, "Sound <sound@example.org>", algorithm="rsa2048")


@pytest.fixture(scope="module")
def outdated(gpg: Gpg) -> str:
    """A key that signed itself with SHA-1, as gpg did long ago."""
    before = {key.fingerprint for key in gpg.list_keys()}
    words = [*LOOPBACK, "--cert-digest-algo", "SHA1", "--quick-generate-key"]
    gpg.call([*words, "Old <old@example.org>", "rsa2048", "sign", "2y"], stdin="")
    return next(key.fingerprint for key in gpg.list_keys() if key.fingerprint not in before)


def problems(gpg: Gpg, key: str, folder: Path, now: datetime = NOW) -> list[tuple[str, bool]]:
    _, findings = lint_keys(public(gpg, key, folder), now)
    assert {finding.key for finding in findings} <= {key}
    return [(finding.problem, finding.is_error) for finding in findings]


def test_a_sound_key_has_no_findings_until_it_is_about_to_expire(
    gpg: Gpg, sound: str, tmp_path: Path
) -> None:
    assert problems(gpg, sound, tmp_path) == []
    ((text, is_error),) = problems(gpg, sound, tmp_path, NOW + timedelta(days=700))
    assert (text.startswith("it expires on "), is_error) == (True, False)
    ((text, is_error),) = problems(gpg, sound, tmp_path, NOW + timedelta(days=740))
    assert (text.startswith("it expired on "), is_error) == (True, True)


def test_a_signature_of_sha1_on_the_key_itself_is_found(
    gpg: Gpg, outdated: str, tmp_path: Path
) -> None:
    assert problems(gpg, outdated, tmp_path) == [("its own signature uses SHA-1", True)]
    # As the finding says.
    words = [*LOOPBACK, "--cert-digest-algo", "SHA512", "--quick-set-expire", outdated, "2y"]
    gpg.call(words, stdin="")
    assert problems(gpg, outdated, tmp_path) == []


def test_an_eddsa_key_is_a_warning_for_el8(gpg: Gpg, tmp_path: Path) -> None:
    key = make_key(gpg, "Curve <curve@example.org>")
    assert problems(gpg, key, tmp_path) == [("it is an EdDSA key", False)]


def test_a_short_key_is_refused(gpg: Gpg, tmp_path: Path) -> None:
    key = make_key(gpg, "Short <short@example.org>", algorithm="rsa1024")
    ((text, is_error),) = problems(gpg, key, tmp_path)
    assert ("1024 bits is too weak" in text, is_error) == (True, True)
    path = tmp_path / "key.asc"
    path.write_text(public(gpg, key, tmp_path), encoding="utf-8")
    done = CliRunner().invoke(main, ["repo", "lint-keys", str(path)])
    assert done.exit_code == ExitCode.REPO
    assert key in done.output
    path.write_text("no key", encoding="utf-8")
    done = CliRunner().invoke(main, ["repo", "lint-keys", str(path)])
    assert done.exit_code in (ExitCode.USAGE, ExitCode.REPO)
    assert "Traceback" not in done.output
