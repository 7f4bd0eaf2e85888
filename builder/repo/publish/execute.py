"""Executes one publication: phase by phase, recording what is in place.

Each file of a phase is in place before the next phase begins. Every change is recorded at
once, so that the next run finishes an interrupted one without sending a file twice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from builder.base import log
from builder.repo.model import FileFacts, Publisher
from builder.repo.publication import Phase, Publication, Put
from builder.repo.spill import batches

_CONNECTIONS = 8
_WAITING = 4 * _CONNECTIONS  # files that have been given to a connection, or will be next
_RECORDED_TOGETHER = 64
_SENT_TOGETHER = 4_000  # by a place that takes many: its calls cost more than their files


class Record(Protocol):
    """The record of a target's files; builder.repo.state has one."""

    def record_put(self, target: str, /, files: Iterable[tuple[PurePosixPath, FileFacts]]) -> None:
        """Record files that are in place on a target."""
        ...

    def record_retired(self, target: str, /, paths: Iterable[PurePosixPath], now: datetime) -> None:
        """Record files that are unreferenced from now on."""
        ...

    def record_deleted(self, target: str, /, paths: Iterable[PurePosixPath]) -> None:
        """Record files that are deleted from a target."""
        ...


@runtime_checkable
class BulkPublisher(Protocol):
    """A place for which one call for many files is much cheaper than many calls."""

    def put_many(self, files: Mapping[PurePosixPath, FileFacts], source: Path) -> None:
        """Place files that lie under ``source`` by the same paths; as safe as ``put``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A place to publish to, its name in ``repo.toml``, and the record of its files."""

    target: str
    publisher: Publisher
    record: Record


def publish(publication: Publication, to: Destination, *, source: Path, now: datetime) -> None:
    """Execute ``publication`` on a place.

    ``source`` is the tree with the files. Raises RepoError, StorageError or ToolError where
    the place refuses; a further run continues where this one ended.
    """
    with log.progress(f"publishing to {to.target}", publication.puts.size) as advance:
        for phase in Phase:
            puts = publication.puts.in_phase(phase)
            if len(puts):
                log.detail(f"{to.target}: {phase.name.lower()}: {len(puts)} files")
                with _recording(to) as note:
                    for put in _put_phase(phase, puts, to.publisher, source):
                        note(put)
                        advance(put.facts.size)
    # After all entry points are in place, and only files whose grace is over.
    to.record.record_retired(to.target, publication.retire, now)
    for some in batches(publication.delete, _SENT_TOGETHER):
        to.publisher.delete(some)
        to.record.record_deleted(to.target, some)


def _put_phase(
    phase: Phase, puts: Iterable[Put], publisher: Publisher, source: Path
) -> Iterator[Put]:
    """Put the files of one phase; yields each that is in place."""
    if isinstance(publisher, BulkPublisher):
        for some in batches(puts, _SENT_TOGETHER):
            publisher.put_many({put.path: put.facts for put in some}, source)
            yield from some
        return
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        jobs: dict[Future[None], Put] = {}
        try:
            for put in puts:
                jobs[pool.submit(_put, phase, put, publisher, source)] = put
                if len(jobs) == _WAITING:
                    yield from _ended(jobs)
            while jobs:
                yield from _ended(jobs)
        finally:
            # After a failure or an interrupt, no further put begins.
            pool.shutdown(cancel_futures=True)


def _ended(jobs: dict[Future[None], Put]) -> Iterator[Put]:
    """Yield what has been put, and take it out of ``jobs``; waits until there is one."""
    for job in wait(jobs, return_when=FIRST_COMPLETED).done:
        put = jobs.pop(job)
        job.result()
        yield put


def _put(phase: Phase, put: Put, publisher: Publisher, source: Path) -> None:
    # A file of an earlier run is trusted only if its name promises its bytes.
    if phase is Phase.CONTENT and publisher.has(put.path, put.facts):
        log.detail(f"{put.path} is there already")
        return
    publisher.put(put.path, source / put.path, put.facts)


@contextmanager
def _recording(to: Destination) -> Iterator[Callable[[Put], None]]:
    """Collect the files in place and record them, also when the phase ends by an error."""
    waiting: list[tuple[PurePosixPath, FileFacts]] = []

    def flush() -> None:
        if waiting:
            to.record.record_put(to.target, waiting)
            waiting.clear()

    def note(put: Put) -> None:
        waiting.append((put.path, put.facts))
        if len(waiting) >= _RECORDED_TOGETHER:
            flush()

    try:
        yield note
    finally:
        flush()
