"""``builder runtime check`` and ``bump`` as users type them, against a server on loopback."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from builder.base.errors import BuilderError, FetchError, UsageError
from builder.base.paths import PKGSPEC, RUNTIMES_FILE
from builder.cli import runtime_news as cli
from builder.cli.runtime import runtime_group
from builder.runtime.pins import load_pins
from builder.spec import load_spec
from tests.helpers.apt import MIRROR, fake_apt
from tests.helpers.servers import ReleaseServer, release_server

_VERSION = "3.13.99"
_NEWS = """\
What's New in Python 3.13.99 final?
===================================

Security
--------

- gh-7: Refuse what was let in.

What's New in Python 3.13.15 final?
===================================

Security
--------

- gh-6: Refuse what 3.13.15 refuses.
"""
_SOURCE = f"""\
Package: python3.13
Checksums-Sha256:
 {"a" * 64} 100 python3.13_3.13.98.orig.tar.xz
Directory: pool/main/p/python3.13
"""


@pytest.fixture
def pkgspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the data, which commands write into."""
    root = tmp_path / "pkgspec"
    shutil.copytree(PKGSPEC, root)
    monkeypatch.setattr(cli, "RUNTIMES_FILE", root / RUNTIMES_FILE.name)
    monkeypatch.setattr(cli, "PROJECT", tmp_path)
    monkeypatch.setattr(cli, "load_pins", lambda: load_pins(root / RUNTIMES_FILE.name))
    monkeypatch.setattr(cli, "project_spec", lambda: load_spec(root))
    return root


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    """python.org with one release more than is pinned."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with release_server() as server:
        server.add("/", f'<a href="3.13.15/">x</a><a href="{_VERSION}/">x</a>'.encode())
        file = f"Python-{_VERSION}.tar.xz"
        sha256 = server.add(f"/{_VERSION}/{file}", _tarball())
        listing = f'<a href="{file}">x</a><a href="{file}.spdx.json">x</a>'
        server.add(f"/{_VERSION}/", listing.encode())
        sums = [{"algorithm": "SHA256", "checksumValue": sha256}]
        document = {"packages": [{"downloadLocation": f"x/{file}", "checksums": sums}]}
        server.add(f"/{_VERSION}/{file}.spdx.json", json.dumps(document).encode())
        yield server


def _tarball() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as tar:
        member = tarfile.TarInfo(f"Python-{_VERSION}/Misc/NEWS")
        member.size = len(_NEWS)
        tar.addfile(member, io.BytesIO(_NEWS.encode()))
    return buffer.getvalue()


@pytest.fixture
def run(
    tmp_path: Path, pkgspec: Path, upstream: ReleaseServer, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    assert pkgspec.is_dir()
    monkeypatch.setenv("BUILDER_CACHE", str(tmp_path / "cache"))
    # Debian is asked by apt, which other tests stand in for: here it says nothing.
    monkeypatch.setattr("builder.runtime.offers.shutil.which", lambda _: None)
    # Nor does a test wait between the tries.
    monkeypatch.setattr("builder.net.http.time", SimpleNamespace(sleep=int, monotonic=monotonic))

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(runtime_group, [*words, "--upstream", upstream.url])

    return invoke


def test_check_names_the_newer_release_and_the_fixes_that_pins_lack(
    run: Callable[..., Result],
) -> None:
    done = run("check")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert f"  newer: builder runtime bump {_VERSION}" in lines
    assert f"  3.13.15 lacks 1 security fixes, as of {_VERSION}:" in lines
    assert f"  3.13.5 lacks 2 security fixes, as of {_VERSION}:" in lines
    assert f"    {_VERSION} gh-7: Refuse what was let in." in lines


def test_check_for_machines_says_who_was_silent(run: Callable[..., Result]) -> None:
    done = run("check", "--json")
    found = json.loads(done.stdout)
    (minor,) = [minor for minor in found["minors"] if minor["minor"] == "3.13"]
    assert minor["newer"] == _VERSION
    assert [fix["issue"] for fix in minor["lacking"]["3.13.15"]] == ["gh-7"]
    assert found["silent"] == {"Debian": "no apt on this host"}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelname == "WARNING"]


def test_a_suite_that_debian_lacks_is_an_error_after_the_answers_of_the_others(
    run: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake_apt(tmp_path, monkeypatch, shown=_SOURCE, unknown=("nosuch",))
    done = run("check", "--suite", "nosuch", "--suite", "sid")
    assert isinstance(done.exception, UsageError)
    assert done.exception.message == f"{MIRROR} has no suite nosuch"
    assert "  Debian sid: 3.13.98" in done.stdout.splitlines()
    assert f"  python.org: {_VERSION}" in done.stdout.splitlines()
    assert not warnings(caplog)  # it is said once, as the error
    machines = run("check", "--json", "--suite", "nosuch", "--suite", "sid")
    assert isinstance(machines.exception, UsageError)
    found = json.loads(machines.stdout)
    assert found["silent"] == {"Debian nosuch": f"{MIRROR} has no suite nosuch"}
    offers = [offer["place"] for minor in found["minors"] for offer in minor["offers"]]
    assert offers == ["Debian sid", "python.org"]


def test_a_suite_that_nobody_named_and_that_is_silent_is_a_warning(
    run: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake_apt(tmp_path, monkeypatch, shown=_SOURCE, silent=("sid",))
    done = run("check")
    assert done.exit_code == 0, done.output
    (warning,) = warnings(caplog)
    assert warning.startswith("Debian sid says nothing: Failed to fetch")
    assert "  Debian forky: 3.13.98" in done.stdout.splitlines()


def test_bump_writes_nothing_where_a_named_suite_says_nothing(
    run: Callable[..., Result], pkgspec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_apt(tmp_path, monkeypatch, shown=_SOURCE, silent=("sid",))
    before = (pkgspec / "runtimes.toml").read_bytes()
    done = run("bump", "3.13", "--suite", "sid")
    assert isinstance(done.exception, FetchError)
    assert done.exception.message.startswith("Failed to fetch")
    assert (pkgspec / "runtimes.toml").read_bytes() == before


@pytest.mark.parametrize("words", [("check",), ("check", "--json"), ("bump", "3.13")])
def test_where_nobody_answers_no_pin_is_called_the_newest(
    run: Callable[..., Result], upstream: ReleaseServer, pkgspec: Path, words: tuple[str, ...]
) -> None:
    del upstream.files["/"]
    before = (pkgspec / "runtimes.toml").read_bytes()
    done = run(*words)
    assert isinstance(done.exception, FetchError)
    assert "Debian: no apt on this host" in done.exception.message
    assert f"python.org: cannot fetch {upstream.url}/" in done.exception.message
    assert not done.stdout
    assert (pkgspec / "runtimes.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["abc"], "no source of Python abc is pinned; there are: 3.11, 3.13"),
        (["3.12"], "no source of Python 3.12 is pinned"),
        (["3.13.x"], "no source of Python 3.13.x is pinned"),
        (["3.13", "--sha256", "00"], "--sha256 00 has not 64 hexadecimal digits"),
    ],
)
def test_what_is_no_version_is_refused_before_anybody_is_asked(
    run: Callable[..., Result], upstream: ReleaseServer, words: list[str], said: str
) -> None:
    upstream.files.clear()
    done = run("bump", *words)
    assert isinstance(done.exception, UsageError)
    assert said in done.exception.message


def test_a_tarball_that_is_listed_and_not_there_changes_nothing(
    run: Callable[..., Result], upstream: ReleaseServer, pkgspec: Path
) -> None:
    before = load_spec(pkgspec)
    del upstream.files[f"/{_VERSION}/Python-{_VERSION}.tar.xz"]
    done = run("bump", "3.13")
    assert isinstance(done.exception, FetchError)
    assert "python.org lists it" in (done.exception.hint or "")
    assert load_spec(pkgspec) == before
    assert (pkgspec / "runtimes.toml").read_bytes() == RUNTIMES_FILE.read_bytes()


def test_bump_pins_it_and_raises_the_runtimes_packages_alone(
    run: Callable[..., Result], pkgspec: Path
) -> None:
    before = load_spec(pkgspec)
    assert run("bump", "3.13", "--dry-run").exit_code == 0
    assert load_spec(pkgspec) == before
    done = run("bump", "3.13", "--advisory", "CVE-2026-12345")
    assert done.exit_code == 0, done.output
    assert _VERSION in {pin.version for pin in load_pins(pkgspec / "runtimes.toml").source}
    after = load_spec(pkgspec)
    raised = {
        (name, package)
        for name, release in after.releases.items()
        for package in release.packages
        if release.revision_of(package) != before.releases[name].revision_of(package)
    }
    on_313 = {"26.9", "26.8", "26.4"}
    assert {pair for pair in raised if pair[0] in on_313} == {
        (name, "backendai-runtime") for name in on_313
    }
    assert {package for _, package in raised} == {"backendai-runtime"}
    assert not any(name == "23.09" for name, _ in raised)  # it is on 3.11
    entry = after.releases["26.9"].changelog_of("backendai-runtime")[0]
    assert entry.changes == (f"Build with CPython {_VERSION}.",)
    assert (entry.urgency.value, entry.fixes) == ("high", ("CVE-2026-12345",))
    assert "builder build backendai-runtime --release 26.9" in done.output.splitlines()
    # Again, and after a run that was killed before it wrote the pin.
    assert run("bump", "3.13").exit_code == 0
    assert load_spec(pkgspec) == after
    shutil.copy(RUNTIMES_FILE, pkgspec / RUNTIMES_FILE.name)
    assert run("bump", "3.13").exit_code == 0
    assert load_spec(pkgspec) == after
    assert _VERSION in {pin.version for pin in load_pins(pkgspec / "runtimes.toml").source}


def test_bump_to_what_nobody_has_is_refused(run: Callable[..., Result]) -> None:
    done = run("bump", "3.13.98")
    assert isinstance(done.exception, UsageError)
    assert "nobody offers a CPython 3.13.98" in done.exception.message


def test_bump_writes_nothing_where_the_tarball_is_another(
    run: Callable[..., Result], upstream: ReleaseServer, pkgspec: Path
) -> None:
    upstream.files[f"/{_VERSION}/Python-{_VERSION}.tar.xz"] = b"another"
    before = (pkgspec / "runtimes.toml").read_bytes()
    done = run("bump", _VERSION)
    assert isinstance(done.exception, BuilderError)
    assert (pkgspec / "runtimes.toml").read_bytes() == before
