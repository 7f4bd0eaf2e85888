"""Runs a command and samples the memory of its whole process tree."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_INTERVAL_S = 0.1
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Resident memory of the process tree, in bytes, at a time of the wall clock."""

    at: float
    rss: int


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One finished run."""

    seconds: float
    samples: tuple[Sample, ...]

    def peak(self, begin: float = 0.0, end: float = float("inf")) -> int:
        """The most memory between two times; 0 where the span was too short to be sampled."""
        inside = [sample.rss for sample in self.samples if begin <= sample.at <= end]
        return max(inside, default=0)


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measure:
    """Run ``command`` to its end; raises CalledProcessError where it fails."""
    samples: list[Sample] = []
    begun = time.monotonic()
    process = subprocess.Popen(  # noqa: TID251  # measured from outside, not through builder
        command, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL
    )
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_INTERVAL_S):
            samples.append(Sample(at=time.time(), rss=_tree_rss(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    seconds = time.monotonic() - begun
    done.set()
    watcher.join()
    if status != 0:
        raise subprocess.CalledProcessError(status, command)
    return Measure(seconds=seconds, samples=tuple(samples))


def _tree_rss(root: int) -> int:
    """Resident bytes of a process and all that descend from it; shared pages count twice."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    total, pending = 0, [root]
    while pending:
        pid = pending.pop()
        pending += children.get(pid, [])
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
        except (OSError, IndexError):
            continue
    return total
