"""``builder runtime`` as users type it: tables, JSON, messages, exit codes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from builder.base.errors import BuilderError, ExitCode
from builder.base.model import Arch
from builder.base.paths import RUNTIMES_FILE
from builder.cli import runtime as cli
from builder.cli.runtime import runtime_group
from builder.runtime import choose
from builder.runtime.archive import ArchiveProvider
from builder.runtime.choose import Providers
from builder.runtime.distro import DistroProvider
from builder.runtime.pbs import PbsProvider
from builder.runtime.pins import asset_stem, load_pins
from builder.runtime.source import SourceProvider
from tests.helpers.trees import FOREIGN, HOST, MINOR, VERSION, Release, make_release

Run = Callable[..., Result]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A release tree of this Python's version, and pins for it alone."""
    made = make_release(tmp_path / "releases")
    providers = Providers(
        pbs=PbsProvider(made.pins),
        source=SourceProvider(made.pins),
        archive=ArchiveProvider(),
        distro=DistroProvider(),
    )
    monkeypatch.setattr(cli, "load_pins", lambda: made.pins)
    monkeypatch.setattr(choose, "default_providers", lambda: providers)
    return made


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("BUILDER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BUILDER_PYTHON_MIRROR", raising=False)
    monkeypatch.delenv("BUILDER_MIRROR", raising=False)

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(runtime_group, words)

    return invoke


def failure(result: Result) -> BuilderError:
    assert isinstance(result.exception, BuilderError), result.output
    return result.exception


def test_list_shows_every_pin(run: Run) -> None:
    result = run("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["kind", "version", "arch", "from", "cache"]
    assert "standalone  3.13.15  arm64  20260814" in lines
    assert len(lines) == 14


def test_list_prints_for_machines_what_the_cache_has(release: Release, run: Run) -> None:
    mirror = str(release.folder)
    assert [row["cache"] for row in json.loads(run("list", "--json").stdout)["pins"]] == ["", ""]
    run("fetch", "--python", MINOR, "--runtime", "pbs", "--mirror", mirror, "--arch", HOST)
    rows = json.loads(run("list", "--json").stdout)["pins"]
    assert [(row["arch"], row["cache"]) for row in rows] == [(HOST, "fetched"), (FOREIGN, "")]
    run("build", "--python", MINOR, "--mirror", mirror, "--arch", FOREIGN)
    rows = json.loads(run("list", "--json").stdout)["pins"]
    assert [row["cache"] for row in rows] == ["prepared", "prepared"]
    assert rows[0]["sha256"] == release.pin(HOST).sha256


def test_fetch_brings_the_host_build_for_a_foreign_one(release: Release, run: Run) -> None:
    words = ("--python", MINOR, "--mirror", str(release.folder), "--arch", FOREIGN, "--json")
    files = json.loads(run("fetch", *words).stdout)
    assert {file["file"] for file in files} == {release.pin(arch).asset for arch in Arch}
    assert all(Path(file["path"]).is_file() for file in files)


def test_build_prints_the_folder_and_the_record(release: Release, run: Run) -> None:
    words = ("build", "--python", MINOR, "--mirror", str(release.folder))
    result = run(*words)
    assert result.exit_code == 0, result.output
    tree = Path(result.stdout.strip())
    assert (tree / f"bin/python{MINOR}").is_file()
    (record,) = json.loads(run(*words, "--json").stdout)
    assert record["tree"] == str(tree)
    assert (record["provider"], record["version"], record["arch"]) == ("pbs", VERSION, HOST)
    assert record["reason"] == "prepared before, taken from the cache"


def test_latest_checks_pins_and_shows_newer(release: Release, run: Run) -> None:
    tag = release.pin(HOST).tag
    sums = "".join(f"{pin.sha256}  {pin.asset}\n" for pin in release.pins.standalone)
    (release.folder / tag / "SHA256SUMS").write_text(sums)
    words = ("list", "--latest", "--mirror", str(release.folder), "--json")
    news = json.loads(run(*words).stdout)
    assert (news["checked"], news["tag"], news["updates"]) == ([tag], tag, [])
    newer = release.folder / "20991231"
    newer.mkdir()
    stem = asset_stem(f"{MINOR}.99", "20991231", HOST, "install_only_stripped")
    (newer / "SHA256SUMS").write_text(f"{'a' * 64}  {stem}.tar.gz\n")
    (update,) = json.loads(run(*words).stdout)["updates"]
    assert (update["old"]["version"], update["new"]["version"]) == (VERSION, f"{MINOR}.99")


def test_latest_refuses_pins_that_the_release_contradicts(release: Release, run: Run) -> None:
    tag = release.pin(HOST).tag
    (release.folder / tag / "SHA256SUMS").write_text(
        "".join(f"{'0' * 64}  {pin.asset}\n" for pin in release.pins.standalone)
    )
    error = failure(run("list", "--refresh", "--mirror", str(release.folder)))
    assert error.exit_code == ExitCode.SPEC
    assert error.message.count("but SHA256SUMS of") == 2


def test_refresh_rewrites_the_pins(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runtimes.toml"
    shutil.copyfile(RUNTIMES_FILE, path)
    monkeypatch.setattr(cli, "RUNTIMES_FILE", path)
    monkeypatch.setattr(cli, "load_pins", lambda: load_pins(path))
    mirror = tmp_path / "mirror"
    for pin in load_pins(path).standalone:
        (mirror / pin.tag).mkdir(parents=True, exist_ok=True)
        with (mirror / pin.tag / "SHA256SUMS").open("a") as sums:
            sums.write(f"{pin.sha256}  {pin.asset}\n")
    (mirror / "20261101").mkdir()
    stem = asset_stem("3.13.16", "20261101", Arch.AMD64, "install_only_stripped")
    (mirror / "20261101" / "SHA256SUMS").write_text(f"{'b' * 64}  {stem}.tar.gz\n")
    assert run("list", "--latest", "--mirror", str(mirror)).exit_code == 0
    assert path.read_text() == RUNTIMES_FILE.read_text()
    result = run("list", "--refresh", "--mirror", str(mirror))
    assert result.exit_code == 0, result.output
    assert "standalone  3.13.16  amd64  20261101" in result.stdout
    assert "3.13.16" in {pin.version for pin in load_pins(path).standalone}


def test_unknown_minor_is_one_message(run: Run) -> None:
    for command in ("build", "fetch"):
        error = failure(run(command, "--python", "3.99"))
        assert error.exit_code == ExitCode.USAGE
        assert error.message == ("no Python '3.99' is pinned; there are: 3.10, 3.11, 3.12, 3.13")


def test_offline_without_the_cache_is_one_message(release: Release, run: Run) -> None:
    error = failure(run("build", "--python", MINOR, "--offline", "--runtime", "pbs"))
    assert error.exit_code == ExitCode.OFFLINE
    assert f"CPython {VERSION} for {HOST} is not in the cache" in error.message
    assert error.hint is not None
    assert "builder fetch" in error.hint


def test_absent_mirror_folder_is_one_message(release: Release, run: Run, tmp_path: Path) -> None:
    for choice in ("auto", "pbs"):
        words = ("--python", MINOR, "--runtime", choice, "--mirror", f"{tmp_path}/none")
        error = failure(run("build", *words))
        assert error.exit_code == ExitCode.USAGE
        assert error.message == f"--mirror names the folder '{tmp_path}/none', which does not exist"
