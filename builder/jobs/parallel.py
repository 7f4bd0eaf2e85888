"""Works on several items at a time, within a budget of memory, and notices an interrupt at once."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Condition
from typing import TypeVar

_TURN_S = 0.2
Item = TypeVar("Item")
Made = TypeVar("Made")


def default_jobs() -> int:
    """Return the number of processors that this process may use."""
    return max(1, len(os.sched_getaffinity(0)))


def _await(future: "Future[Made]") -> Made:
    """Wait for the future's result in short turns.

    A signal that comes just before the main thread blocks is noticed only when the thread
    wakes: without the turns, an interrupt could wait for nfpm to end by itself.
    """
    while True:
        wait([future], timeout=_TURN_S)
        if future.done():
            return future.result()


def in_parallel(work: Callable[[Item], Made], items: Sequence[Item], jobs: int) -> list[Made]:
    """Run ``work`` on every item, ``jobs`` at a time; the first error ends it."""
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [_await(future) for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class Budget:
    """Lets work run while a number of jobs and an amount of memory last.

    Work that needs more than all of the memory runs when it has all of it.
    """

    def __init__(self, *, jobs: int, size: int) -> None:
        self._jobs = jobs
        self._free = self._size = size
        self._changed = Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait for a job and ``size`` bytes, and hold them while the block runs."""
        wanted = min(size, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._jobs > 0 and self._free >= wanted)
            self._jobs -= 1
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._jobs += 1
                self._free += wanted
                self._changed.notify_all()
