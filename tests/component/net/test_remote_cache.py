"""The remote cache: only what is checked is taken, and none of its faults stops a build."""

import multiprocessing
from pathlib import Path

from tests.unit.net.machines import counts, fail, fill, over_folder

_SPAWN = multiprocessing.get_context("spawn")


def _work(root: Path, number: int) -> None:
    cache = over_folder(root, f"machine{number}")
    for entry in range(30):
        cache.derive("wheel", f"{entry:064}", fill)


def test_machines_that_write_at_once_leave_whole_entries(tmp_path: Path) -> None:
    workers = [_SPAWN.Process(target=_work, args=(tmp_path, number)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    cache = over_folder(tmp_path, "last")
    for entry in range(30):
        cache.derive("wheel", f"{entry:064}", fail)
    assert counts(cache) == {"hits": 30}
