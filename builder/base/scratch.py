"""Scratch folders that outlive no process, and locks between processes.

A folder is locked as long as its process lives; a later process removes the folders of a
killed one.
"""

import fcntl
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.base import log

Remove = Callable[[Path], None]


def remove_tree(folder: Path) -> None:
    """Remove a folder as far as possible."""
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def scratch_folder(
    parent: Path, *, prefix: str = "tmp", remove: Remove = remove_tree
) -> Iterator[Path]:
    """Yield a new folder below ``parent``, locked, and removed at the end."""
    work = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    lock = os.open(work, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield work
    finally:
        remove(work)
        os.close(lock)


def sweep(
    parent: Path, *, prefix: str = "", min_age_s: float, remove: Remove = remove_tree
) -> None:
    """Remove this user's scratch folders that no living process holds.

    ``min_age_s`` spares a folder that was made but not locked yet.
    """
    newest = time.time() - min_age_s
    for work in parent.glob(f"{prefix}*/"):
        try:
            status = work.lstat()
            if status.st_uid != os.getuid() or status.st_mtime > newest:
                continue
            lock = os.open(work, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # its owner has just removed it, or it is not a folder
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(work)
        except BlockingIOError:  # in use
            pass
        finally:
            os.close(lock)


@contextmanager
def file_lock(path: Path, waiting: str) -> Iterator[None]:
    """Hold the lock at ``path``; ``waiting`` is shown while another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.step(waiting)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class SharedLock:
    """A lock that many processes share until each of them ends, and one may make its own."""

    def __init__(self, path: Path, waiting: str) -> None:
        """Share the lock at ``path``; ``waiting`` is shown while another process has it alone."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        weakref.finalize(self, os.close, self._descriptor)
        if not self._has(fcntl.LOCK_SH):
            log.step(waiting)
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def make_exclusive(self) -> bool:
        """Return whether no other process shares the lock, and none can until this one ends."""
        if self._has(fcntl.LOCK_EX):
            return True
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)  # the attempt may have given it up
        return False

    def _has(self, kind: int) -> bool:
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
