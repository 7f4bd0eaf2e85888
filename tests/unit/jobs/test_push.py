"""Pushing the local cache: a second machine needs nothing else, and a fault is an error here."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from builder.base.cache import Cache
from builder.base.errors import ExitCode
from builder.base.seal import MARK
from builder.cli import main
from builder.net.remote_cache import RemoteCache
from builder.net.remote_stores import FolderStore
from builder.stage.model import REPORT

_SECRET = "0123456789abcdef" * 2
_KEY = "ab" * 32
_DATA = b"a download"
_SHA256 = hashlib.sha256(_DATA).hexdigest()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder of a shared cache, empty; the local one beside it has an entry of each sort."""
    (tmp_path / "key").write_text(_SECRET + "\n")
    cache = Cache(root=tmp_path / "local")
    source = tmp_path / "download"
    source.write_bytes(_DATA)
    cache.add_blob(source, _SHA256)
    for kind in ("stage", "wheel", "cpython", "sdist"):
        cache.derive(kind, _KEY, _make)
    place = tmp_path / "shared"
    place.mkdir()
    return place


def _make(folder: Path) -> None:
    for name in (REPORT, "libraries.json", "payload"):
        (folder / name).write_text(f"{{}} {name}")
        (folder / name).chmod(0o644)


def push(place: Path, *words: str, **variables: str | None) -> Result:
    environment = {
        "BUILDER_CACHE": str(place.with_name("local")),
        "BUILDER_REMOTE_CACHE": str(place),
        "BUILDER_REMOTE_CACHE_KEY": str(place.with_name("key")),
        "BUILDER_REMOTE_CACHE_MODE": None,
        **variables,
    }
    return CliRunner().invoke(main, ["cache", "push", *words], env=environment)


def second_machine(place: Path) -> Cache:
    remote = RemoteCache(store=FolderStore(root=place), secret=_SECRET.encode(), writes=False)
    return Cache(root=place.with_name("second"), remote=remote)


def test_another_machine_has_all_that_does_not_depend_on_the_host(place: Path) -> None:
    result = push(place, "--json")
    assert result.exit_code == ExitCode.OK, result.output
    # The stage with its record, the wheel, the record of the CPython, the download.
    expected = {"uploads": 5, "offered": 4, "damaged": 0, "kept": 1}
    assert json.loads(result.stdout) == expected
    second = second_machine(place)
    assert second.find_blob(_SHA256)
    assert second.find_record("cpython", _KEY, ("libraries.json",))
    record = second.find_record("stage", _KEY, (REPORT,))
    assert record is not None
    assert not (record / "payload").exists()
    for kind in ("stage", "wheel"):
        folder = second.find_derived(kind, _KEY)
        assert folder is not None
        assert (folder / "payload").read_text() == "{} payload"
    for kind in ("cpython", "sdist"):
        assert second.find_derived(kind, _KEY) is None


def test_a_second_push_uploads_nothing(place: Path) -> None:
    push(place)
    result = push(place, "--json")
    assert json.loads(result.stdout) == {"uploads": 0, "offered": 4, "damaged": 0, "kept": 1}


def test_a_push_is_no_use_of_an_entry(place: Path) -> None:
    mark = place.with_name("local") / "derived/wheel" / _KEY / MARK
    os.utime(mark, (1_000_000, 1_000_000))
    push(place)
    assert mark.stat().st_mtime == 1_000_000


def test_only_what_a_build_took_lately(place: Path) -> None:
    local = place.with_name("local")
    for path in (*local.glob(f"derived/*/*/{MARK}"), *local.glob("blobs/*/*")):
        if "wheel" not in path.parts:
            os.utime(path, (1_000_000, 1_000_000))
    result = push(place, "--used-within", "1d", "--json")
    assert json.loads(result.stdout) == {"uploads": 1, "offered": 1, "damaged": 0, "kept": 0}


def test_without_the_key_only_downloads_go(place: Path) -> None:
    result = push(place, BUILDER_REMOTE_CACHE_KEY=None)
    assert result.exit_code == ExitCode.OK
    assert "only downloads are pushed" in result.output
    assert "1 uploads" in result.output
    assert not (place / "derived").exists()


def test_what_is_damaged_stays_here(place: Path) -> None:
    local = place.with_name("local")
    for path in (local / "derived/wheel" / _KEY / "payload", *local.glob("blobs/*/*")):
        path.chmod(0o644)
        path.write_text("changed")
    result = push(place, "--json")
    assert json.loads(result.stdout)["damaged"] == 2
    assert not (place / "derived/wheel").exists()
    assert not (place / "blobs").exists()


@pytest.mark.parametrize(
    ("variables", "code", "words"),
    [
        ({"BUILDER_REMOTE_CACHE": None}, ExitCode.USAGE, "BUILDER_REMOTE_CACHE is not set"),
        ({"BUILDER_REMOTE_CACHE_MODE": "read"}, ExitCode.USAGE, "unset BUILDER_REMOTE_CACHE_MODE"),
        ({"BUILDER_REMOTE_CACHE": "/nowhere/at/all"}, ExitCode.FETCH, "run it again"),
    ],
)
def test_a_push_that_cannot_be_done(
    place: Path, variables: dict[str, str | None], code: ExitCode, words: str
) -> None:
    result = push(place, **variables)
    assert result.exit_code == code
    assert words in result.output
