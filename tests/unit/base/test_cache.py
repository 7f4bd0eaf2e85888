"""The cache: nothing half-made is ever taken for whole, whoever else is at work."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from builder.base.cache import Cache, key_of, open_cache
from builder.base.errors import FetchError, StorageError
from builder.base.storage import replacing
from tests.unit.base.cached import DATA, scratch

SHA256 = hashlib.sha256(DATA).hexdigest()


def add(cache: Cache, data: bytes = DATA) -> Path:
    source = cache.root.parent / "source"
    source.write_bytes(data)
    return cache.add_blob(source, hashlib.sha256(data).hexdigest())


def test_a_blob_is_found_by_its_hash_and_only_while_it_is_whole(cache: Cache) -> None:
    assert cache.find_blob(SHA256) is None
    path = add(cache)
    assert cache.find_blob(SHA256) == path
    path.write_bytes(DATA + b"!")
    assert cache.find_blob(SHA256) is None
    assert add(cache).read_bytes() == DATA
    assert cache.find_blob(SHA256) == path


def test_a_blob_with_other_bytes_is_refused_with_both_hashes(cache: Cache, tmp_path: Path) -> None:
    source = tmp_path / "wheel.whl"
    source.write_bytes(b"other")
    with pytest.raises(FetchError) as caught:
        cache.add_blob(source, SHA256)
    assert caught.value.message.startswith("wheel.whl: sha256 is ")
    assert SHA256 in caught.value.message
    assert not cache.blob(SHA256).exists()


def test_a_moved_blob_leaves_no_source(cache: Cache, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    source.chmod(0o600)
    path = cache.add_blob(source, SHA256, move=True)
    assert not source.exists()
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_full_disk_says_so_and_leaves_nothing(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(_source: Path, target: Path) -> None:
        target.write_bytes(DATA[:3])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr("builder.base.cache.shutil.copyfile", fill)
    with pytest.raises(StorageError, match="no space left on the disk") as caught:
        add(cache)
    assert "BUILDER_CACHE" in str(caught.value.hint)
    assert not cache.blob(SHA256).exists()
    assert scratch(cache) == []


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with replacing(path) as part:
        part.write_bytes(b"first")
        assert not path.exists()

    def fail() -> None:
        with replacing(path) as part:
            part.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(part))

    with pytest.raises(StorageError, match="no space left"):
        fail()
    assert [file.name for file in path.parent.iterdir()] == ["file"]
    assert path.read_bytes() == b"first"


def test_a_cache_that_cannot_be_written_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write .*file") as caught:
        open_cache(tmp_path / "file")
    assert "BUILDER_CACHE" in str(caught.value.hint)

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / "root"))

    monkeypatch.setattr("builder.base.cache.tempfile.TemporaryFile", refuse)
    with pytest.raises(StorageError, match=r"cannot write .*root: Read-only file system"):
        open_cache(tmp_path / "root")


def test_keys_differ_by_every_part_and_by_their_order() -> None:
    keys = {
        key_of("a", 1),
        key_of("a", 2),
        key_of(1, "a"),
        key_of("a", "1"),
        key_of("a1"),
        key_of(["a", 1]),
        key_of("a", None),
    }
    assert len(keys) == 7
    assert key_of({"b": 1, "a": 2}) == key_of({"a": 2, "b": 1})


def test_a_derived_folder_is_made_once_and_appears_whole(cache: Cache) -> None:
    made = []

    def make(folder: Path) -> None:
        assert cache.find_derived("tree", "k") is None
        (folder / "file").write_bytes(DATA)
        made.append(folder)

    path = cache.derive("tree", "k", make)
    assert cache.derive("tree", "k", make) == path
    assert len(made) == 1
    assert (path / "file").read_bytes() == DATA
    assert not made[0].exists()


def test_a_maker_that_fails_leaves_nothing_and_may_be_tried_again(cache: Cache) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.derive("tree", "k", fail)
    assert cache.find_derived("tree", "k") is None
    assert scratch(cache) == []
    path = cache.derive("tree", "k", lambda folder: (folder / "file").touch())
    assert sorted(file.name for file in path.iterdir()) == [".complete", ".sealed", "file"]


def test_what_a_crash_left_without_its_mark_is_replaced(cache: Cache) -> None:
    half = cache.derived("tree", "k")
    half.mkdir(parents=True)
    (half / "half").touch()
    path = cache.derive("tree", "k", lambda folder: (folder / "file").touch())
    assert not (path / "half").exists()
