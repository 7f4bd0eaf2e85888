"""Pruning the cache: what no build used goes whole, and nothing goes while a build is at work."""

import gc
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from builder.base.cache import Cache, open_cache
from builder.base.errors import ExitCode, StorageError
from builder.base.files import hash_file
from builder.base.seal import MARK
from builder.cli import main
from builder.jobs.prune import (
    CacheEntry,
    PruneLimits,
    choose_unneeded,
    list_entries,
    remove_entries,
)

_DAY_S = 24 * 3600
_NOW = 1_000 * _DAY_S


def entry(name: str, *, days: int, size: int = 10, kind: str = "stage") -> CacheEntry:
    return CacheEntry(kind=kind, path=Path(name), used=_NOW - days * _DAY_S, size=size)


def fill(cache: Cache, key: str, *, days: int) -> Path:
    """Add a derived entry that was used so long ago."""

    def make(folder: Path) -> None:
        (folder / "file").write_text(key * 5_000)

    path = cache.derive("stage", key, make)
    age(path / MARK, days)
    return path


def age(path: Path, days: int) -> None:
    then = path.stat().st_mtime - days * _DAY_S
    os.utime(path, (then, then))


def prune(cache: Cache, *words: str) -> Result:
    environment = {"BUILDER_CACHE": str(cache.root)}
    return CliRunner().invoke(main, ["--quiet", "cache", *words], env=environment)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (PruneLimits(), []),
        (PruneLimits(unused_s=5 * _DAY_S), ["old"]),
        (PruneLimits(unused_s=5 * _DAY_S, downloads=True), ["wheel", "old"]),
        (PruneLimits(kept_bytes=40), []),
        (PruneLimits(kept_bytes=39), ["old"]),
        (PruneLimits(kept_bytes=20), ["old", "middle"]),
        # The download counts, and stays.
        (PruneLimits(kept_bytes=0), ["old", "middle", "new"]),
        (PruneLimits(kept_bytes=30, downloads=True), ["wheel"]),
        (PruneLimits(unused_s=1.5 * _DAY_S, kept_bytes=40), ["old", "middle"]),
    ],
)
def test_the_longest_unused_goes_first(limits: PruneLimits, expected: list[str]) -> None:
    entries = [
        entry("wheel", days=50, kind="download"),
        entry("old", days=9),
        entry("middle", days=2),
        entry("new", days=0),
    ]
    chosen = choose_unneeded(entries, limits, _NOW)
    assert [str(found.path) for found in chosen] == expected


def test_a_use_makes_an_entry_young_again(cache: Cache) -> None:
    used, unused = fill(cache, "used", days=9), fill(cache, "unused", days=3)
    assert [found.path for found in list_entries(cache)] == [used, unused]
    assert Cache(root=cache.root).find_derived("stage", "used") == used
    assert [found.path for found in list_entries(cache)] == [unused, used]


def test_a_download_is_used_when_a_build_takes_it(cache: Cache, tmp_path: Path) -> None:
    source = tmp_path / "wheel"
    source.write_text("wheel")
    sha256 = hash_file(source)
    blob = cache.add_blob(source, sha256)
    age(blob, 9)
    before = cache.last_use(blob)
    assert cache.find_blob(sha256) == blob
    assert cache.last_use(blob) > before


def test_what_two_entries_link_to_counts_once(cache: Cache) -> None:
    first = fill(cache, "first", days=0)

    def make(folder: Path) -> None:
        (folder / "file").hardlink_to(first / "file")

    cache.derive("stage", "second", make)
    on_disk = (first / "file").stat().st_blocks * 512
    others = sum(
        path.stat().st_blocks * 512 for path in cache.root.glob("derived/*/*/.*") if path.is_file()
    )
    assert sum(found.size for found in list_entries(cache)) == on_disk + others


def test_an_entry_goes_whole_and_can_be_made_again(cache: Cache) -> None:
    path = fill(cache, "old", days=9)
    remove_entries(cache, list_entries(cache))
    assert not path.exists()
    assert not list((cache.root / "tmp").iterdir())
    assert cache.find_derived("stage", "old") is None
    assert fill(cache, "old", days=0) == path


def test_by_default_a_month_unused_goes(cache: Cache) -> None:
    old, new = fill(cache, "old", days=31), fill(cache, "new", days=29)
    shown = prune(cache, "prune", "--dry-run", "--json")
    assert json.loads(shown.stdout)["removed"][0]["entries"] == 1
    assert old.exists()
    done = json.loads(prune(cache, "prune", "--json").stdout)
    assert (done["freed"] > 0, done["left"] > 0) == (True, True)
    assert (old.exists(), new.exists()) == (False, True)


def test_while_a_build_is_at_work_nothing_goes(cache: Cache) -> None:
    at_work = open_cache(cache.root)
    path = fill(cache, "old", days=99)
    refused = prune(cache, "prune")
    assert refused.exit_code == ExitCode.STORAGE
    assert "is in use by another builder" in refused.stderr
    assert path.exists()
    assert prune(cache, "prune", "--dry-run").exit_code == ExitCode.OK
    del at_work, refused
    gc.collect()  # now they are like processes that have ended
    assert prune(cache, "prune").exit_code == ExitCode.OK
    assert not path.exists()


def test_a_refused_claim_leaves_the_cache_held(tmp_path: Path) -> None:
    first, second = open_cache(tmp_path), open_cache(tmp_path)
    for cache in (first, second):
        with pytest.raises(StorageError, match="in use"):
            cache.claim()
    del second, cache
    first.claim()


@pytest.mark.parametrize("word", ["20", "GB", "-1GB", "1.5GB", "20gb", "20 GB ", "9999999GB"])
def test_a_size_has_a_unit(cache: Cache, word: str) -> None:
    refused = prune(cache, "prune", "--keep", word)
    assert refused.exit_code == ExitCode.USAGE
    assert "whole number with a unit of: MB, GB, TB" in refused.stderr


def test_a_list_has_each_kind(cache: Cache) -> None:
    fill(cache, "old", days=1)
    listed = prune(cache, "list")
    assert "stage" in listed.stdout
    (kind,) = json.loads(prune(cache, "list", "--json").stdout)["kinds"]
    assert (kind["kind"], kind["entries"]) == ("stage", 1)
