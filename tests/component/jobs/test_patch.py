"""Fixes of single wheels, by the real uv and an index on loopback."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from builder.base.cache import Cache
from builder.base.errors import BuilderError, ExitCode, LockError, StorageError, UsageError
from builder.base.together import write_together
from builder.cli import main
from builder.jobs.patch import Patch, PatchRequest, make_patch, parse_pins, save_patch
from builder.lock import load_lock, save_lock, stale_locks
from builder.lock.resolve import make_locks
from builder.release.bump import Workshop
from builder.release.edit import NORMAL, Importance
from builder.spec import Spec, load_spec
from builder.spec.release import Urgency
from tests.helpers.json_index import json_index
from tests.helpers.specs import COMMON, RELEASE, RUNTIME, SERVICE, write_pkgspec, write_sources
from tests.helpers.wheelhouse import Recipe

_NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
_SECOND = (
    SERVICE.replace("example-service", "example-second")
    .replace('"service"', '"second"')
    .replace("/opt/backendai/service/", "/opt/backendai/second/")
)
_ADDON = """
name = "example-addon"
summary = "an add-on of the tests"
description = "It adds nothing."
depends-release = ["example-second"]

[python]
requirement = "example-addon"

[addon]
host = "example-second"
service = "second"
name = "addon"
group = "example_addons"
plugins = { addon = "example_addon" }
allow = ["example_addon"]
keys = ["addon"]
config = "second.toml"
allow-key = "allow"
block-key = "block"
"""
_PACKAGES = {
    "example-runtime": RUNTIME,
    "example-common": COMMON,
    "example-service": SERVICE,
    "example-second": _SECOND,
    "example-addon": _ADDON,
}
_ALL = tuple(_PACKAGES)
_RELEASE = RELEASE.replace(
    '"example-service"]', '"example-service", "example-second", "example-addon"]'
).replace("index-until = 2026-01-01", "index-until = 2026-01-15")
_LATE = "2026-02-01T00:00:00Z"
# What was there when the line was locked: both services share one library, one has another.
_EARLY = (
    Recipe(name="example-service", version="1.0.2", requires=["shared<2", "own", "tool"]),
    Recipe(name="example-second", version="1.0.2", requires=["shared", "tool"]),
    Recipe(name="example-addon", version="1.0.2", requires=["shared", "extra"]),
    Recipe(name="shared", version="1.0"),
    Recipe(name="own", version="1.0", requires=["leaf<2"]),
    Recipe(name="own", version="0.9", requires=["leaf<2"]),
    Recipe(name="leaf", version="1.0"),
    Recipe(name="extra", version="1.0"),
    Recipe(name="tool", version="1.0", scripts={"tool": "tool:main"}),
)
_FIXES = (
    Recipe(name="shared", version="1.1"),
    Recipe(name="shared", version="2.0"),
    Recipe(name="own", version="1.1", requires=["leaf<2"]),
    Recipe(name="own", version="2.0", requires=["leaf>=2", "fresh"]),
    Recipe(name="leaf", version="2.0"),
    Recipe(name="leaf", version="1.1", tag="cp313-cp313-manylinux2014_x86_64"),
    Recipe(name="fresh", version="1.0"),
    Recipe(name="extra", version="1.1"),
    Recipe(name="tool", version="1.1", scripts={"tool": "tool:main", "tool-more": "tool:more"}),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A locked line with two services, and an add-on of the second; fixes came up since."""
    root = tmp_path_factory.mktemp("patch")
    folder = root / "wheels"
    folder.mkdir()
    with json_index(folder) as index, pytest.MonkeyPatch.context() as patched:
        for recipe in _EARLY:
            recipe.write(folder)
        for recipe in _FIXES:
            index.uploaded[recipe.write(folder).name] = _LATE
        patched.setenv("UV_DEFAULT_INDEX", index.url)
        patched.setenv("UV_FIND_LINKS", "")
        patched.delenv("BUILDER_MIRROR", raising=False)
        write_sources(root / "project")
        written = write_pkgspec(root / "project", packages=_PACKAGES, releases={"1.0": _RELEASE})
        spec, cache = load_spec(written), Cache(root=root / "cache")
        for lock in make_locks(spec, spec.release(None), ["3.13.5"], cache, upgrade=False):
            save_lock(spec.root, lock)
        yield Workshop(spec=spec, pythons=["3.13.5"], cache=cache)


@pytest.fixture
def shop(tmp_path: Path, whole: Workshop) -> Workshop:
    """A copy of the project."""
    shutil.copytree(whole.spec.root.parent, tmp_path / "project")
    return _again(whole, tmp_path / "project/pkgspec")


def _again(shop: Workshop, root: Path | None = None) -> Workshop:
    """The same with what is in the files now."""
    return replace(shop, spec=load_spec(root or shop.spec.root))


def _make(shop: Workshop, *pins: str, **given: object) -> Patch:
    values: dict[str, object] = {"free": (), "runtime": False, "changes": (), "importance": NORMAL}
    request = PatchRequest(pins=parse_pins(pins), **(values | given))  # type: ignore[arg-type]
    return make_patch(shop, shop.spec.release(None), request, _NOW)


def _content(spec: Spec) -> dict[str, bytes]:
    return {
        os.fspath(path.relative_to(spec.root)): path.read_bytes()
        for path in spec.root.rglob("*")
        if path.is_file()
    }


def _versions(spec: Spec, package: str) -> dict[str, str]:
    return {wheel.name: wheel.version for wheel in load_lock(spec.root, "1.0", package).wheel}


def test_a_shared_wheel_raises_the_runtime_alone(shop: Workshop) -> None:
    fix = Importance(urgency=Urgency.HIGH, fixes=("CVE-2026-12345", "GHSA-aaaa-bbbb-cccc"))
    before = _content(shop.spec)
    patch = _make(shop, "Shared==1.1", importance=fix)
    assert _content(shop.spec) == before  # nothing is written yet
    assert patch.entry.packages == ("example-runtime",)
    assert set(patch.locks) == {"example-service", "example-second"}
    save_patch(patch)
    spec = load_spec(shop.spec.root)
    release = spec.release(None)
    assert not stale_locks(spec, release)
    for name in patch.locks:
        assert _versions(spec, name)["shared"] == "1.1"
    assert {name: release.revision_of(name) for name in _ALL} == {
        **dict.fromkeys(_ALL, 1),
        "example-runtime": 2,
    }
    entry = release.changelog_of("example-runtime")[0]
    assert (entry.urgency, entry.day) == (Urgency.HIGH, date(2026, 3, 4))
    assert entry.lines == (
        "Update shared from 1.0 to 1.1.",
        "Fixes CVE-2026-12345, GHSA-aaaa-bbbb-cccc.",
    )
    assert release.index_until == datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


def test_a_wheel_of_one_service_raises_that_service_alone(shop: Workshop) -> None:
    patch = _make(shop, "own==0.9", changes=["Own was faster."])
    assert patch.entry.packages == ("example-service",)
    assert patch.entry.changes == ("Update own from 1.0 to 0.9.", "Own was faster.")
    names = {path.name for path in patch.texts}
    assert names == {"1.0.toml", "example-service.toml"}
    # The version was there when the line was locked: the index is considered as before.
    assert patch.release.index_until == shop.spec.release(None).index_until


def test_a_wheel_of_an_add_on_raises_all_that_name_its_version(shop: Workshop) -> None:
    """The host names the add-on that it breaks, so the host is another package, too."""
    patch = _make(shop, "extra==1.1")
    assert patch.entry.packages == ("example-second", "example-addon")
    assert list(patch.locks) == ["example-addon"]


def test_another_program_of_a_shared_wheel_raises_the_services(shop: Workshop) -> None:
    more = _make(shop, "tool==1.1").entry.packages
    assert more == ("example-runtime", "example-service", "example-second", "example-addon")


def test_what_else_would_change_is_refused_unless_it_is_named(shop: Workshop) -> None:
    with pytest.raises(LockError) as caught:
        _make(shop, "own==2.0")
    assert caught.value.message.splitlines() == [
        "own 2.0 would change more than that:",
        "  fresh: absent -> 1.0",
        "  leaf: 1.0 -> 2.0",
    ]
    assert caught.value.hint == "if these may change, too: --also fresh --also leaf"
    patch = _make(shop, "own==2.0", free={"leaf", "fresh"})
    save_patch(patch)
    spec = load_spec(shop.spec.root)
    found = _versions(spec, "example-service")
    assert (found["own"], found["leaf"], found["fresh"]) == ("2.0", "2.0", "1.0")
    assert not stale_locks(spec, spec.release(None))


def test_what_changes_too_may_have_a_version_that_is_named(shop: Workshop) -> None:
    patch = _make(shop, "own==2.0", "leaf==2.0", free={"fresh"})
    assert patch.entry.packages == ("example-service",)
    assert patch.entry.changes == (
        "Update leaf from 1.0 to 2.0.",
        "Update own from 1.0 to 2.0.",
    )


@pytest.mark.parametrize(
    ("pin", "kind", "message"),
    [
        ("unknown==1.0", UsageError, "no lock of 1.0 has unknown"),
        ("shared==1.0", UsageError, "shared is 1.0 already, in every lock of 1.0 that has it"),
        ("example-service==1.0.3", UsageError, "example-service is Backend.AI's own"),
        ("shared==9.9", LockError, "the index has no shared 9.9"),
        ("leaf==1.1", LockError, "leaf 1.1 has no wheel for arm64, Python 3.13 and glibc 2.28"),
        ("leaf==2.0", LockError, "leaf 2.0 would change more than that: fresh: absent -> 1.0"),
        ("shared==2.0", LockError, "the requirements of 1.0 do not allow shared 2.0: "),
    ],
)
def test_what_cannot_be_is_one_clear_error(
    shop: Workshop, pin: str, kind: type[BuilderError], message: str
) -> None:
    before = _content(shop.spec)
    with pytest.raises(kind) as caught:
        _make(shop, pin)
    assert message in " ".join(caught.value.message.replace("==", " ").split())
    assert caught.value.hint
    assert _content(shop.spec) == before


@pytest.mark.parametrize(
    "word",
    [
        "aiohttp",
        "aiohttp>=3",
        "aiohttp==3.*",
        "a[b]==1",
        "a==1,==1",
        "a==1; python_version>'3'",
        "==",
    ],
)
def test_a_word_that_names_no_exact_version_is_refused(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_pins([word])
    assert caught.value.hint == "--package aiohttp==3.13.3"


def test_a_distribution_with_two_versions_is_refused() -> None:
    assert parse_pins(["A.B==1", "a-b==1"]) == {"a-b": "1"}
    with pytest.raises(UsageError, match="two versions"):
        parse_pins(["a==1", "A==2"])


def test_stale_locks_are_not_patched(shop: Workshop) -> None:
    path = shop.spec.root / "releases/1.0.toml"
    path.write_text(path.read_text().replace("2026-01-15", "2026-01-16"))
    with pytest.raises(LockError, match="has changed since this lock was made"):
        _make(_again(shop), "shared==1.1")


def test_the_runtime_alone_is_raised_without_a_change_of_locks(shop: Workshop) -> None:
    patch = _make(shop, runtime=True, changes=["Rebuild with OpenSSL 3.5.5."])
    assert patch.entry.packages == ("example-runtime",)
    assert [path.name for path in patch.texts] == ["1.0.toml"]
    save_patch(patch)
    assert _make(_again(shop), runtime=True, changes=["And again."]).entry.revision == 3


def test_the_command_shows_what_it_would_do(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.cli.release._shop", lambda: _again(shop))
    monkeypatch.setattr("builder.cli.release.PROJECT", shop.spec.root.parent)

    def call(*words: str) -> Result:
        return CliRunner().invoke(main, ["release", "patch", "1.0", *words])

    before = _content(shop.spec)
    words = ("--package", "shared==1.1", "--advisory", "CVE-2026-1234")
    done = call(*words, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "shared: 1.0 -> 1.1: in 2 locks: example-service, example-second" in done.output
    assert "changelog (high):" in done.output
    assert "builder build example-runtime --release 1.0" in done.output.splitlines()
    assert _content(shop.spec) == before
    done = call(*words, "--urgency", "low", "--json")
    table = json.loads(done.stdout)
    assert (table["entry"]["urgency"], table["entry"]["fixes"]) == ("low", ["CVE-2026-1234"])
    assert table["written"][0] == "pkgspec/releases/1.0.toml"
    assert call().exit_code == ExitCode.USAGE
    assert call("--runtime").exit_code == ExitCode.USAGE
    done = call("--runtime", "--change", "x", "--advisory", "no name")
    assert done.exit_code == ExitCode.SPEC
    assert "'fixes.0'" in done.output


def test_all_files_are_written_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("first", "second", "third")
    (tmp_path / "first").write_text("old")
    texts = {tmp_path / name: "new" for name in names}
    rename = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target.name == "third":
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        with pytest.raises(StorageError, match="no space left"):
            write_together(texts)
    assert [path.name for path in tmp_path.iterdir()] == ["first"]
    assert (tmp_path / "first").read_text() == "old"
    assert write_together(texts) == list(texts)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        names, "new"
    )
