"""Reads the processes of this host, and repeats to one the signal that stops it."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

# Those by which units stop their services.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PAUSE_SECONDS = 0.3
_PROC = Path("/proc")


def is_running(pid: int) -> bool:
    """Whether there is a process ``pid``, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def repeat_signal(pid: int, number: int, *, seconds: float) -> bool:
    """Send ``pid``, which has got the signal ``number``, the signal again until it has ended.

    A server that starts its workers one after the other hands the signal to those that it has,
    and waits for the others as well. So the signal is repeated while a child of the process has a
    handler for it: no more once the workers have ended, while the server tidies up.
    Returns whether the process has ended within ``seconds``.
    """
    until = time.monotonic() + seconds
    while is_running(pid):
        if time.monotonic() >= until:
            return False
        time.sleep(_PAUSE_SECONDS)
        if any(_handles(child, number) for child in _children_of(pid)):
            send_signal(pid, number)
    return True


def send_signal(pid: int, number: int) -> None:
    """Send a signal to a process, which may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _children_of(pid: int) -> Iterator[int]:
    """Yield the children of all threads of a process."""
    for listed in _PROC.glob(f"{pid}/task/*/children"):
        yield from map(int, _read(listed).split())


def _handles(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal; one that has ended has none."""
    for line in _read(_PROC / f"{pid}/status").splitlines():
        name, _, mask = line.partition(":")
        if name == "SigCgt":
            return bool(int(mask, 16) >> (number - 1) & 1)
    return False


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""  # the process has ended meanwhile
