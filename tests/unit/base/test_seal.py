"""A derived folder of the cache in which anything changed is found and made again."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.seal import MARK, SEAL, find_damage, make_seal


def _make(folder: Path) -> None:
    (folder / "tree" / "bin").mkdir(parents=True)
    (folder / "tree" / "lib\udcff\n").write_bytes(b"\0name of any bytes")
    (folder / "tree" / "data").write_bytes(b"abcdef")
    (folder / "tree" / "bin" / "run").write_bytes(b"#!/bin/sh\n")
    (folder / "tree" / "bin" / "run").chmod(0o755)
    (folder / "tree" / "bin" / "also").symlink_to("run")


def _flip(folder: Path) -> None:
    path = folder / "tree" / "data"
    status = path.stat()
    path.write_bytes(b"abcdeg")  # one bit, and the time is as before
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _retarget(folder: Path) -> None:
    link = folder / "tree" / "bin" / "also"
    link.unlink()
    link.symlink_to("/bin/sh")


def _cut_seal(folder: Path) -> None:
    (folder / SEAL).write_bytes((folder / SEAL).read_bytes()[:40])


def _nest_seal(folder: Path) -> None:
    (folder / SEAL).write_bytes(b"[" * 100_000)


_DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a changed byte": (_flip, "tree/data"),
    "a cut file": (lambda folder: (folder / "tree/data").write_bytes(b""), "tree/data"),
    "a lost file": (lambda folder: (folder / "tree/data").unlink(), "tree/data"),
    "a file more": (lambda folder: (folder / "tree/more").touch(), "tree/more"),
    "a mode": (lambda folder: (folder / "tree/bin/run").chmod(0o644), "tree/bin/run"),
    "another link": (_retarget, "tree/bin/also"),
    "a cut seal": (_cut_seal, SEAL),
    "an empty seal": (lambda folder: (folder / SEAL).write_bytes(b""), SEAL),
    "a seal of no use": (_nest_seal, SEAL),
}


@pytest.mark.parametrize(("damage", "named"), _DAMAGES.values(), ids=_DAMAGES)
def test_a_damaged_folder_is_found_reported_once_and_made_again(
    cache: Cache,
    damage: Callable[[Path], object],
    named: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = cache.derive("tree", "k", _make)
    damage(path)
    later = Cache(root=cache.root)  # another run of the builder
    caplog.set_level("INFO", "builder")
    assert later.find_derived("tree", "k") is None
    assert later.find_derived("tree", "k") is None
    assert later.derive("tree", "k", _make) == path
    (line,) = caplog.messages
    assert line == f"cache: the tree {path} is damaged ({named}): it is made again"
    assert find_damage(path, {}) is None
    assert Cache(root=cache.root).find_derived("tree", "k") == path
    assert list((cache.root / "tmp").iterdir()) == []


def test_a_whole_folder_is_read_once_in_a_process(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.derive("tree", "k", _make)
    later = Cache(root=cache.root)
    assert later.find_derived("tree", "k") is not None
    monkeypatch.setattr("builder.base.cache.find_damage", None)
    assert later.find_derived("tree", "k") is not None


def test_files_that_are_named_are_all_that_is_read(cache: Cache) -> None:
    path = cache.derive("tree", "k", _make)
    _flip(path)
    assert Cache(root=cache.root).find_derived("tree", "k", ("tree/bin/run",)) == path
    assert Cache(root=cache.root).find_derived("tree", "k", ("tree/data",)) is None
    assert Cache(root=cache.root).find_derived("tree", "k", ("tree/none",)) is None


def test_a_folder_of_an_older_builder_is_sealed_at_its_first_use(cache: Cache) -> None:
    path = cache.derive("tree", "k", _make)
    (path / SEAL).unlink()
    assert Cache(root=cache.root).find_derived("tree", "k") == path
    assert (path / SEAL).is_file()
    _flip(path)
    assert Cache(root=cache.root).find_derived("tree", "k") is None


def test_a_seal_names_every_file_but_itself_and_the_mark(tmp_path: Path) -> None:
    _make(tmp_path)
    (tmp_path / MARK).touch()
    make_seal(tmp_path, {})
    make_seal(tmp_path, {})
    sealed = json.loads((tmp_path / SEAL).read_text(encoding="utf-8"))["files"]
    assert sorted(sealed) == ["tree/bin/also", "tree/bin/run", "tree/data", "tree/lib\udcff\n"]
    assert sealed["tree/bin/also"] == "link run"
    assert sealed["tree/bin/run"].startswith("program ")


def test_a_damaged_download_is_removed_with_a_line_that_says_so(
    cache: Cache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"data")
    sha256 = "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"
    caplog.set_level("INFO", "builder")
    blob = cache.add_blob(source, sha256)
    blob.write_bytes(b"date")
    assert cache.find_blob(sha256) is None
    assert f"{blob} is damaged: it is removed, and fetched again" in caplog.text
