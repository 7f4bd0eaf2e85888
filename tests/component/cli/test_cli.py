"""The command line as users meet it: messages, hints, exit codes, streams, signals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from builder.base.errors import ExitCode
from builder.base.model import Arch, PackageFormat, Profile
from builder.base.paths import PROJECT
from builder.cli import main
from builder.cli.options import arch_option, format_option, read_runtime_options
from tests.helpers.builds import environment, write_buildable
from tests.helpers.clichild import pretend
from tests.helpers.fakenfpm import FakeNfpm
from tests.helpers.specs import SERVICE

Builder = Callable[..., Result]


def command(root: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "tests.helpers.clichild", str(root), *words]


def settings(root: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("BUILDER_")}
    return {**kept, **environment(root), "SOURCE_DATE_EPOCH": ""}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project that builds."""
    write_buildable(tmp_path)
    return tmp_path


@pytest.fixture
def builder(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Builder]:
    """Runs ``builder`` on the project; keywords are added to its environment."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for name in [name for name in os.environ if name.startswith("BUILDER_")]:
        monkeypatch.delenv(name)

    def invoke(*words: str, **more: str) -> Result:
        with pretend(root):
            result = CliRunner().invoke(main, words, env={**settings(root), **more})
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    yield invoke
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_build_prints_a_table_for_people_and_json_for_machines(
    root: Path, builder: Builder
) -> None:
    out = root / "dist"
    result = builder("build", "--out", str(out), "--json")
    assert (result.exit_code, len(json.loads(result.stdout))) == (0, 6), result.stderr
    again = builder("build", "--out", str(out))
    assert again.exit_code == 0
    assert again.stdout.count("example-service") == 2
    assert "6 of 6 packages were in the cache" in again.stderr


def test_plan_and_dry_run_say_the_same_and_touch_nothing(root: Path, builder: Builder) -> None:
    result = builder("plan", "example-service", "--json")
    (plan,) = json.loads(result.stdout)
    assert plan["name"] == "example-service"
    dry = builder("build", "example-service", "--dry-run", "--json", "--out", str(root / "dist"))
    assert json.loads(dry.stdout) == [plan]
    assert not (root / "dist").exists()
    assert not (root / "cache").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["build", "servic"], "has no package 'servic' (did you mean 'example-service'?)"),
        (["build", "--release", "1.1"], "unknown release '1.1' (did you mean '1.0'?)"),
        (["build", "--format", "apk"], "'apk' is none of: deb, rpm"),
        (["build", "--arch", "amd64,mips"], "'mips' is none of: amd64, arm64"),
        (["build", "--jobs", "0"], "--jobs"),
        (["build", "--runtime", "conda"], "'conda' is not one of"),
        (["build-all"], "No such command 'build-all'"),
    ],
)
def test_a_wrong_argument_is_named(builder: Builder, words: list[str], expected: str) -> None:
    result = builder(*words)
    assert result.exit_code == ExitCode.USAGE
    assert expected in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "formats"),
    [
        ([], ["deb", "rpm"]),
        (["--format", "rpm"], ["rpm"]),
        (["--format", "deb", "--format", "rpm"], ["deb", "rpm"]),
        (["--format", "rpm,deb", "--format", "deb"], ["rpm", "deb"]),
    ],
)
def test_a_list_can_be_given_in_parts(words: list[str], formats: list[str]) -> None:
    @click.command()
    @format_option
    @arch_option
    def command(formats: tuple[PackageFormat, ...], archs: tuple[Arch, ...]) -> None:
        click.echo(json.dumps([[*formats], [*archs]]))

    given = ["--arch", "arm64", "--arch", "amd64", *words]
    found = CliRunner().invoke(command, given)
    assert json.loads(found.stdout) == [formats, ["arm64", "amd64"]]


def test_a_broken_spec_shows_every_problem(root: Path, builder: Builder) -> None:
    (root / "pkgspec/releases/1.0.toml").write_text("name = [", encoding="utf-8")
    text = SERVICE.replace("summary", "summaryy")
    (root / "pkgspec/packages/example-service.toml").write_text(text, encoding="utf-8")
    result = builder("plan")
    assert result.exit_code == ExitCode.SPEC
    assert "error: pkgspec/releases/1.0: not TOML" in result.stderr
    assert "unknown key 'summaryy' (did you mean 'summary'?)" in result.stderr
    assert "hint: the schema is in pkgspec/schema/" in result.stderr


def test_a_missing_and_a_stale_lock(root: Path, builder: Builder) -> None:
    text = SERVICE.replace('"example-service"\n\n[service]', '"example-service>=1"\n\n[service]')
    (root / "pkgspec/packages/example-service.toml").write_text(text, encoding="utf-8")
    stale = builder("plan")
    assert stale.exit_code == ExitCode.LOCK
    assert "error: pkgspec/locks/1.0/example-service: pkgspec/ has changed" in stale.stderr
    assert builder("lock", "--check").exit_code == ExitCode.LOCK
    (root / "pkgspec/locks/1.0/example-service.toml").unlink()
    missing = builder("build", "--out", str(root / "dist"))
    assert missing.exit_code == ExitCode.LOCK
    assert "pkgspec/locks/1.0/example-service: no lock for this package" in missing.stderr
    assert "hint: run 'builder lock'" in missing.stderr


def test_offline_without_a_cache_says_what_to_do(root: Path, builder: Builder) -> None:
    result = builder("build", "--offline", "--out", str(root / "dist"), BUILDER_MIRROR="")
    assert result.exit_code == ExitCode.OFFLINE
    assert "the cache lacks 1 of 1 wheels: example_service-1.0.2" in result.stderr
    assert "hint: run 'builder fetch'" in result.stderr


def test_what_was_fetched_into_a_mirror_builds_elsewhere_offline(
    root: Path, builder: Builder
) -> None:
    mirror = root / "site"
    fetched = builder("fetch", "--mirror", str(mirror), "--json")
    (entry,) = json.loads(fetched.stdout)
    assert entry["path"] == "wheels/example_service-1.0.2-py3-none-any.whl"
    assert (mirror / entry["path"]).stat().st_size == entry["size"]
    (mirror / entry["path"]).write_bytes(b"damaged")
    assert builder("fetch", "--mirror", str(mirror)).exit_code == 0
    assert [path.name for path in (mirror / "wheels").iterdir()] == [Path(entry["path"]).name]
    elsewhere = {"BUILDER_CACHE": str(root / "other"), "BUILDER_MIRROR": str(mirror)}
    result = builder("build", "--offline", "--out", str(root / "dist"), **elsewhere)
    assert result.exit_code == 0, result.stderr
    delivered = [path for path in (root / "dist").iterdir() if path.suffix != ".buildinfo"]
    assert len(delivered) == 19  # packages, SBOMs, provenance, manifest
    (pylock,) = mirror.glob("pylock.*-example-service.toml")
    assert entry["path"] in pylock.read_text(encoding="utf-8")


def test_locks_are_written_in_the_form_that_other_installers_read(
    root: Path, builder: Builder
) -> None:
    done = builder("lock", "--pylock", str(root / "others"))
    assert done.exit_code == 0, done.stderr
    (path,) = (root / "others").iterdir()
    assert path.name == "pylock.1-0-example-service.toml"
    assert 'path = "wheels/example_service-1.0.2-py3-none-any.whl"' in path.read_text()


def test_an_out_folder_or_cache_that_cannot_be_written(root: Path, builder: Builder) -> None:
    (root / "file").touch()
    for words, more in (
        (["--out", str(root / "file")], {}),
        (["--out", str(root / "file" / "deeper")], {}),
        (["--out", str(root / "dist")], {"BUILDER_CACHE": str(root / "file")}),
    ):
        result = builder("build", *words, **more)
        assert result.exit_code == ExitCode.STORAGE
        assert f"error: cannot write {root}/file" in result.stderr
        assert "hint: choose another folder with --out or BUILDER_CACHE" in result.stderr


def test_an_nfpm_that_is_missing_or_fails(root: Path, builder: Builder) -> None:
    out = root / "dist"
    missing = builder("build", "--out", str(out), BUILDER_NFPM=str(root / "none"))
    assert missing.exit_code == ExitCode.TOOL
    assert "BUILDER_NFPM names" in missing.stderr
    assert "hint: run 'make setup'" in missing.stderr
    assert not out.exists()
    FakeNfpm(root / "nfpm", "echo broken config >&2; exit 1\n")
    failing = builder("build", "example-common", "--format", "deb", "--out", str(out))
    assert failing.exit_code == ExitCode.PACK
    assert "error: example-common_1.0.2-1_all.deb: nfpm exited with 1" in failing.stderr
    assert "  broken config" in failing.stderr
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("value", ["yesterday", "-1", "1.5", "99999999999999"])
def test_a_source_date_epoch_that_is_no_time(builder: Builder, value: str) -> None:
    result = builder("plan", SOURCE_DATE_EPOCH=value)
    assert result.exit_code == ExitCode.USAGE
    assert f"SOURCE_DATE_EPOCH is '{value}'" in result.stderr


def ended(root: Path, words: list[str]) -> tuple[int, str]:
    """Exit code and standard error of a process of its own."""
    done = subprocess.run(  # noqa: TID251  # the program under test, streams and all
        words,
        cwd=PROJECT,
        env=settings(root),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_traceback_is_shown_only_on_request(root: Path) -> None:
    (root / "pkgspec/project.toml").unlink()
    status, stderr = ended(root, command(root, "plan"))
    assert status == ExitCode.SPEC
    assert stderr.startswith("error: pkgspec/project: no such file")
    assert "Traceback" not in stderr
    assert "Traceback" in ended(root, command(root, "--debug", "plan"))[1]


def test_a_reader_that_goes_away_is_no_fault_of_builder(root: Path) -> None:
    words = " ".join(command(root, "plan", "--json"))
    _, stderr = ended(root, ["bash", "-c", f"{words} | true; exit ${{PIPESTATUS[0]}}"])
    assert "fault of builder" not in stderr
    assert "Traceback" not in stderr


def test_the_matrix_lists_every_release_and_architecture(builder: Builder) -> None:
    jobs = json.loads(builder("matrix", "--json").stdout)["include"]
    assert [job["name"] for job in jobs] == ["1.0-amd64", "1.0-arm64"]
    assert jobs[1]["machine"] == "aarch64"
    lines = builder("matrix").stdout.splitlines()
    assert lines[0] == "builder build --release 1.0 --arch amd64"


def test_lock_check_is_content_with_a_lock_that_fits(builder: Builder) -> None:
    result = builder("lock", "--check")
    assert result.exit_code == 0
    assert "the locks of 1.0 fit pkgspec/" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_build_ends_at_once_and_leaves_nothing(root: Path, number: int) -> None:
    nfpm = FakeNfpm(root / "nfpm", "echo $$ > {folder}/pid\nexec sleep 60\n")
    words = ["build", "example-common", "--out", str(root / "dist")]
    child = subprocess.Popen(  # noqa: TID251
        command(root, *words),
        cwd=PROJECT,
        env=settings(root),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    begun = time.monotonic()
    while not (nfpm.folder / "pid").exists():
        assert child.poll() is None
        assert time.monotonic() - begun < 30
        time.sleep(0.02)
    child.send_signal(number)
    _, stderr = child.communicate(timeout=20)
    assert child.returncode == ExitCode.INTERRUPTED
    assert stderr.splitlines()[-2].startswith("error: interrupted")
    assert "Traceback" not in stderr
    assert list((root / "dist").iterdir()) == []
    assert list((root / "cache/tmp").iterdir()) == []
    assert not (root / "cache/derived/artifact").exists()


@pytest.mark.parametrize("option", [("--compression", "xz"), ("--pgo",), ("--lto",)])
def test_an_option_that_a_profile_replaces_says_so(
    builder: Builder, option: tuple[str, ...]
) -> None:
    done = builder("build", *option)
    assert done.exit_code == ExitCode.USAGE
    assert f"{option[0]} is now part of a profile" in done.output
    assert "--profile" in done.output


def test_another_profile_is_another_package_and_each_is_kept(root: Path, builder: Builder) -> None:
    def config(profile: str) -> str:
        done = builder("build", "example-common", "--format", "deb", "--profile", profile)
        assert done.exit_code == 0, done.output
        return str(json.loads((root / "nfpm/config.json").read_bytes())["deb"]["compression"])

    assert [config(profile) for profile in ("fast", "release", "compat")] == [
        "zstd:3",
        "zstd:19",
        "xz",
    ]
    assert config("fast") == "xz"  # in the cache: nfpm did not run again


def test_the_release_profile_optimises_python() -> None:
    found = {
        profile: read_runtime_options({"profile": profile}, offline=False, jobs=1)
        for profile in Profile
    }
    assert {profile for profile, options in found.items() if options.pgo} == {Profile.RELEASE}
    assert {profile for profile, options in found.items() if options.lto} == {Profile.RELEASE}
