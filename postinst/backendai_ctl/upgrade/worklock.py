"""The lock of this host that backups, restores and upgrades share.

It is flock(2) on a folder: the kernel releases it when its holder ends, however that ended.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.layout import Layout

_PAUSE_SECONDS = 0.5
_COMMANDS = ("backup", "restore", "upgrade", "seed")
_LOCK_FIELDS = 6


@contextlib.contextmanager
def work_lock(
    layout: Layout, *, seconds: float = 0.0, say: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the lock; NotReadyError if another run holds it for longer than ``seconds``."""
    private_writer().ensure_folder(layout.upgrades, mode=0o755)
    descriptor = os.open(layout.upgrades, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _acquire(descriptor, seconds, say)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, seconds: float, say: Callable[[str], None] | None) -> None:
    until = time.monotonic() + seconds
    reported = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = find_holder(descriptor)
            if time.monotonic() >= until:
                raise NotReadyError(
                    f"{holder} works on the databases of this host: backups, restores and"
                    " upgrades run one after the other",
                    hint="repeat the command once that has ended",
                ) from error
            if say is not None and not reported:
                say(f"waiting for {holder} to end")
                reported = True
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def find_holder(descriptor: int, proc: Path = Path("/proc")) -> str:
    """Describe the process that holds the lock for a message; /proc/locks lists it by the inode."""
    wanted = f":{os.fstat(descriptor).st_ino}"
    with contextlib.suppress(OSError):
        for line in (proc / "locks").read_text(encoding="ascii").splitlines():
            words = line.split()
            # "1: FLOCK ADVISORY WRITE 4242 fd:01:1234 0 EOF"; a waiter has "->" as second word.
            is_held = len(words) >= _LOCK_FIELDS and words[1] == "FLOCK"
            if is_held and words[5].endswith(wanted):
                return f"{_command(proc, words[4])} (process {words[4]})"
    return "another run of backendai-ctl"


def _command(proc: Path, pid: str) -> str:
    """Return `backendai-ctl NAME` of a process, without its arguments, which are private."""
    with contextlib.suppress(OSError):
        words = (proc / pid / "cmdline").read_bytes().decode(errors="replace").split("\0")
        name = next((word for word in words if word in _COMMANDS), "")
        return f"`backendai-ctl {name}`" if name else "another program"
    return "another program"
