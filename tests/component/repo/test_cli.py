"""``builder repo`` as a release engineer types it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGINT, SIGTERM, getsignal, signal

import pytest
from click.testing import CliRunner, Result

from builder.base.errors import ExitCode
from builder.cli import main
from builder.repo.gpg import Gpg, private_home
from tests.helpers.keys import export_secret, make_key, needs_gpg
from tests.helpers.repos import DebPackage, write_manifest_of, write_rpm

pytestmark = needs_gpg

_SECRET = "open sesame"
Builder = Callable[..., Result]


@pytest.fixture(scope="module")
def locked_key() -> tuple[str, str]:
    """A key with a passphrase: its fingerprint, and the secret key in armored form."""
    with private_home() as home:
        gpg = Gpg(home)
        name = make_key(gpg, "Release <release@example.org>", passphrase=_SECRET)
        return name, export_secret(gpg, [name], _SECRET)


@pytest.fixture
def builder(
    tmp_path: Path, locked_key: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Builder]:
    """Runs ``builder repo`` on a repository of the test's own."""
    handlers = {number: getsignal(number) for number in (SIGINT, SIGTERM)}
    monkeypatch.setenv("BUILDER_REPO", str(tmp_path / "repo"))
    monkeypatch.setenv("BUILDER_SIGNING_KEY", locked_key[1])
    monkeypatch.setenv("BUILDER_SIGNING_PASSPHRASE", _SECRET)

    def invoke(*words: str | Path, status: int = ExitCode.OK) -> Result:
        result = CliRunner().invoke(main, ["repo", *map(str, words)])
        assert result.exit_code == status, result.output
        return result

    yield invoke
    for number, handler in handlers.items():
        signal(number, handler)


@pytest.fixture
def ready(builder: Builder, locked_key: tuple[str, str]) -> Builder:
    """The same with a repository that was made by ``init``."""
    url = "https://packages.example.org"
    builder(
        "init",
        "--base-url",
        url,
        "--key",
        locked_key[0],
        "--channel",
        "stable",
        "--channel",
        "testing",
    )
    return builder


def _unsigned_packages(tmp_path: Path) -> None:
    """rpmsign is not on every machine that runs these tests."""
    config = tmp_path / "repo" / "repo.toml"
    text = config.read_text()
    assert "\npackages = true" in text
    config.write_text(text.replace("\npackages = true", "\npackages = false"))


def test_a_day_with_a_repository(ready: Builder, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    DebPackage().write(dist)
    write_manifest_of(dist)
    assert "1 added to testing, 0 were here" in ready("add", dist, "--channel", "testing").stderr
    assert "0 added to testing, 1 were here" in ready("add", dist, "--channel", "testing").stderr
    put = json.loads(ready("publish", "--json").stdout)["local"]["put"]
    assert "dists/testing/InRelease" in put
    promoted = json.loads(
        ready("promote", "tool", "--from", "testing", "--to", "stable", "--json").stdout
    )
    assert [package["version"] for package in promoted] == ["1.0-1"]
    again = ready("promote", "--all", "--from", "testing", "--to", "stable")
    assert "0 promoted" in again.stderr
    put = json.loads(ready("publish", "--json").stdout)["local"]["put"]
    assert "dists/stable/InRelease" in put
    assert "dists/testing/InRelease" not in put
    assert "everything is as it should be" in ready("check").stderr
    assert json.loads(ready("prune", "--dry-run", "--json").stdout) == {
        "left": {},
        "removed": [],
        "stray": [],
    }
    (package,) = (tmp_path / "repo" / "public").glob("pool/**/*.deb")
    assert b"_gpgorigin" in package.read_bytes()
    assert _SECRET not in ready("publish", "--refresh").output


def test_a_stray_file_is_pruned_and_old_versions_are_reported(
    ready: Builder, tmp_path: Path
) -> None:
    config = tmp_path / "repo" / "repo.toml"
    text = config.read_text().replace("keep = 5", "keep = 1").replace("max-age-days = 90\n", "")
    config.write_text(text)
    _unsigned_packages(tmp_path)
    for version in ("1.0", "1.1"):
        ready("add", write_rpm(tmp_path, version=version), "--channel", "stable", "--no-manifest")
    ready("publish")
    stray = tmp_path / "repo" / "public" / "pool" / "main" / "stray.deb"
    stray.write_bytes(b"?")
    result = ready("prune", "--dry-run")
    assert "tool 1.0-1 (rpm, x86_64) would leave stable" in result.stderr
    assert stray.exists()
    pruned = json.loads(ready("prune", "--json").stdout)
    assert [package["version"] for package in pruned["removed"]] == ["1.0-1"]
    assert pruned["stray"] == ["pool/main/stray.deb"]
    assert not stray.exists()


def test_damage_ends_check_with_its_exit_code(ready: Builder, tmp_path: Path) -> None:
    _unsigned_packages(tmp_path)
    ready("publish")
    path = tmp_path / "repo" / "public" / "dists" / "stable" / "Release"
    path.write_bytes(path.read_bytes() + b"\n")
    result = ready("check", status=ExitCode.REPO)
    assert "dists/stable/Release: is not what InRelease signs" in result.stderr, result.stderr
    assert "hint: 'builder repo publish --refresh'" in result.stderr
    findings = json.loads(ready("check", "--json", status=ExitCode.REPO).stdout)
    assert any(finding["is_error"] for finding in findings["local"])
    ready("publish", "--refresh")
    ready("check")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["promote", "--from", "testing", "--to", "stable"], 2, "say which packages to promote"),
        (["promote", "x", "--from", "testing", "--to", "stable"], 2, "has no package 'x'"),
        (["promote", "x", "--from", "unstable", "--to", "stable"], 2, "no channel 'unstable'"),
        (["publish", "--target", "www"], 2, "has no target 'www'"),
        (["check", "--target", "www"], 2, "has no target 'www'"),
        (["add", "absent.deb", "--channel", "stable"], 2, "cannot read absent.deb"),
        (["init", "--base-url", "https://example.org"], 12, "is there already"),
        (["keyring", "--channel", "unstable"], 2, "no channel 'unstable'"),
    ],
)
def test_a_mistake_is_one_message_and_its_code(
    ready: Builder, words: list[str], status: int, said: str
) -> None:
    result = ready(*words, status=status)
    assert said in result.stderr
    assert "hint:" in result.stderr
    assert "Traceback" not in result.output


def test_without_a_repository_or_a_key(builder: Builder, tmp_path: Path) -> None:
    result = builder("publish", status=ExitCode.SPEC)
    assert "repo.toml: no such file" in result.stderr
    assert "builder repo init" in result.stderr
    builder("init", "--base-url", "https://packages.example.org")
    result = builder("publish", status=ExitCode.REPO)
    assert "no signing key is configured" in result.stderr
    assert "gpg --quick-gen-key" in result.stderr


def test_a_wrong_passphrase_is_reported_and_changes_nothing(
    ready: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDER_SIGNING_PASSPHRASE", "guess")
    result = ready("publish", status=ExitCode.REPO)
    assert "--passphrase-file" in result.stderr
    assert not (tmp_path / "repo" / "public" / "dists").exists()
