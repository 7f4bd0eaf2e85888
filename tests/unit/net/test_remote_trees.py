"""Large files and records of a remote cache: what is small comes first."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.net import packed_tree
from builder.net.remote_cache import RemoteCache
from builder.net.remote_stores import FolderStore, StoreError

SECRET = b"k" * 32
KEY = "ab" * 32
LARGE = bytes(range(256)) * (packed_tree._LARGE // 256)
REPORT = "report.json"


class _Store(FolderStore):
    """A folder that notes what is read, and fails when a test says so."""

    def __init__(self, root: Path) -> None:
        super().__init__(root=root)
        self.read: list[str] = []
        self.broken = ""

    def get(self, name: str, target: Path) -> str | None:
        self.read.append(name)
        if self.broken and name.startswith(self.broken):
            raise StoreError("the disk is gone")
        return super().get(name, target)


def _machine(tmp_path: Path, name: str) -> tuple[Cache, _Store]:
    shared = tmp_path / "shared"
    shared.mkdir(exist_ok=True)
    store = _Store(shared)
    return Cache(root=tmp_path / name, remote=RemoteCache(store=store, secret=SECRET)), store


def _fill(folder: Path) -> None:
    (folder / "bin").mkdir(mode=0o755)
    for name, data, mode in (("bin/large", LARGE, 0o755), (REPORT, b"{}", 0o644)):
        path = folder / name
        path.write_bytes(data)
        path.chmod(mode)


def _fail(_folder: Path) -> None:
    raise AssertionError("made again, though the remote cache has it")


def _blobs(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "shared" / "blobs").rglob("*") if path.is_file()]


def test_a_large_file_travels_as_it_is_beside_its_tree(tmp_path: Path) -> None:
    made = _machine(tmp_path, "first")[0].derive("artifact", KEY, _fill)
    (blob,) = _blobs(tmp_path)
    assert blob.read_bytes() == LARGE
    assert (tmp_path / "shared/derived/artifact" / KEY).stat().st_size < packed_tree._LARGE // 100
    second, _ = _machine(tmp_path, "second")
    taken = second.derive("artifact", KEY, _fail)
    for name in ("bin/large", REPORT):
        assert (taken / name).read_bytes() == (made / name).read_bytes()
        assert (taken / name).stat().st_mode == (made / name).stat().st_mode
        assert int((taken / name).stat().st_mtime) == int((made / name).stat().st_mtime)
    assert Cache(root=second.root).find_derived("artifact", KEY) == taken  # its seal is right


def test_a_large_file_that_two_trees_have_is_stored_once(tmp_path: Path) -> None:
    cache, _ = _machine(tmp_path, "first")
    cache.derive("artifact", KEY, _fill)
    cache.derive("artifact", "cd" * 32, _fill)
    assert len(_blobs(tmp_path)) == 1


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda blob: blob.write_bytes(LARGE[:-1] + b"!"),
        lambda blob: blob.write_bytes(b""),
    ],
)
def test_a_tree_whose_large_file_is_missing_or_changed_is_made_here_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object]
) -> None:
    _machine(tmp_path, "first")[0].derive("artifact", KEY, _fill)
    damage(_blobs(tmp_path)[0])
    made = _machine(tmp_path, "second")[0].derive("artifact", KEY, _fill)
    assert (made / "bin/large").read_bytes() == LARGE
    assert "is refused" in caplog.text
    third = _machine(tmp_path, "third")[0]
    assert (third.derive("artifact", KEY, _fail) / "bin/large").read_bytes() == LARGE


def test_a_store_that_fails_between_a_tree_and_its_large_file_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _machine(tmp_path, "first")[0].derive("artifact", KEY, _fill)
    cache, store = _machine(tmp_path, "second")
    store.broken = "blobs/"
    assert (cache.derive("artifact", KEY, _fill) / "bin/large").read_bytes() == LARGE
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["remote cache: the disk is gone; this run goes on without it"]


@pytest.mark.parametrize("name", ["../out", "bin", "link", "absent", REPORT, "/etc/passwd"])
def test_a_large_file_with_no_empty_place_of_its_own_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    def fill(folder: Path) -> None:
        _fill(folder)
        (folder / "link").symlink_to("bin/large")

    _machine(tmp_path, "first")[0].derive("artifact", KEY, fill)
    place = tmp_path / "shared/derived/artifact" / KEY
    line, _, body = place.read_bytes().partition(b"\n")
    facts = json.loads(line)
    label = packed_tree.Label(kind="artifact", key=KEY, secret=SECRET)
    large = {**facts["large"], name: facts["large"]["bin/large"]}
    place.write_bytes(packed_tree._line(label, facts["sha256"], len(body), large) + body)
    cache, _ = _machine(tmp_path, "second")
    cache.remote.writes = False  # type: ignore[union-attr]
    assert cache.find_derived("artifact", KEY) is None
    assert f"it has no place for {name}" in caplog.text
    assert not (tmp_path / "out").exists()


def test_another_hash_for_a_large_file_needs_the_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _machine(tmp_path, "first")[0].derive("artifact", KEY, _fill)
    place = tmp_path / "shared/derived/artifact" / KEY
    line, _, body = place.read_bytes().partition(b"\n")
    facts = json.loads(line)
    facts["large"]["bin/large"] = "0" * 64
    place.write_bytes(json.dumps(facts, sort_keys=True).encode() + b"\n" + body)
    assert _machine(tmp_path, "second")[0].find_derived("artifact", KEY) is None
    assert "its signature is not by BUILDER_REMOTE_CACHE_KEY" in caplog.text


def test_a_record_is_taken_without_its_tree_and_the_tree_when_it_is_needed(tmp_path: Path) -> None:
    _machine(tmp_path, "first")[0].derive("stage", KEY, _fill, (REPORT,))
    cache, store = _machine(tmp_path, "second")
    record = cache.find_record("stage", KEY, (REPORT,))
    assert record is not None
    assert (record / REPORT).read_bytes() == b"{}"
    assert store.read == [f"derived/record-stage/{KEY}"]
    assert not cache.derived("stage", KEY).exists()
    whole = cache.derive("stage", KEY, _fail, (REPORT,))
    assert (whole / "bin/large").read_bytes() == LARGE
    assert cache.find_record("stage", KEY, (REPORT,)) == whole


def test_a_record_stands_for_no_tree(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _machine(tmp_path, "first")[0].derive("stage", KEY, _fill, (REPORT,))
    shared = tmp_path / "shared/derived"
    (shared / "record-stage" / KEY).replace(shared / "stage" / KEY)
    cache, _ = _machine(tmp_path, "second")
    assert cache.find_derived("stage", KEY) is None
    assert "the label of another entry" in caplog.text


def test_without_a_remote_cache_a_record_is_the_entry_itself(tmp_path: Path) -> None:
    cache = Cache(root=tmp_path / "local")
    assert cache.find_record("stage", KEY, (REPORT,)) is None
    made = cache.derive("stage", KEY, _fill, (REPORT,))
    assert cache.find_record("stage", KEY, (REPORT,)) == made
