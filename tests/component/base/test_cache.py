"""The cache: nothing half-made is ever taken for whole, whoever else is at work."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from builder.base.cache import Cache, open_cache
from tests.unit.base.cached import DATA, scratch

_SPAWN = multiprocessing.get_context("spawn")


def _derive_and_count(root: Path, log: Path) -> None:
    def make(folder: Path) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write("made\n")
        time.sleep(0.3)
        (folder / "file").write_bytes(DATA)

    path = open_cache(root).derive("tree", "k", make)
    assert (path / "file").read_bytes() == DATA


def _derive_and_die(root: Path, _log: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_bytes(DATA)
        os.kill(os.getpid(), signal.SIGKILL)

    open_cache(root).derive("tree", "k", make)


def _codes(work: Callable[[Path, Path], None], count: int, root: Path, log: Path) -> list[int]:
    """Run ``work`` in so many processes at once; their exit codes."""
    children = [_SPAWN.Process(target=work, args=(root, log)) for _ in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join(timeout=60)
    return [child.exitcode if child.exitcode is not None else 999 for child in children]


def test_processes_that_want_the_same_thing_make_it_once(cache: Cache, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert _codes(_derive_and_count, 3, cache.root, log) == [0, 0, 0]
    assert log.read_text(encoding="utf-8") == "made\n"


def test_a_killed_maker_leaves_nothing_that_looks_whole(cache: Cache, tmp_path: Path) -> None:
    assert _codes(_derive_and_die, 1, cache.root, tmp_path / "log") == [-signal.SIGKILL]
    assert cache.find_derived("tree", "k") is None
    assert not cache.derived("tree", "k").exists()
    (left,) = scratch(cache)
    with cache.workspace() as mine:
        open_cache(cache.root)
        assert set(scratch(cache)) == {left, mine}
        for work in (left, mine):
            os.utime(work, (0, 0))
        open_cache(cache.root)
        assert scratch(cache) == [mine]
    path = cache.derive("tree", "k", lambda folder: (folder / "file").touch())
    assert (path / "file").exists()
    assert scratch(cache) == []
