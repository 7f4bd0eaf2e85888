"""Executes one publication: phase by phase, recording what is in place.

Each file of a phase is in place before the next phase begins. Every change is recorded at
once, so that the next run finishes an interrupted one without sending a file twice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from builder.base import log
from builder.repo.model import FileFacts, Publisher
from builder.repo.publication import Phase, Publication, Put

_CONNECTIONS = 8
_RECORDED_TOGETHER = 64


class Record(Protocol):
    """The record of a target's files; builder.repo.state has one."""

    def record_put(self, target: str, /, files: Mapping[PurePosixPath, FileFacts]) -> None:
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
    size = sum(put.facts.size for put in publication.puts)
    with log.progress(f"publishing to {to.target}", size) as advance:
        for phase in Phase:
            puts = publication.in_phase(phase)
            if puts:
                log.detail(f"{to.target}: {phase.name.lower()}: {len(puts)} files")
                with _recording(to) as note:
                    for put in _put_phase(phase, puts, to.publisher, source):
                        note(put)
                        advance(put.facts.size)
    # After all entry points are in place, and only files whose grace is over.
    to.record.record_retired(to.target, publication.retire, now)
    if publication.delete:
        to.publisher.delete(publication.delete)
        to.record.record_deleted(to.target, publication.delete)


def _put_phase(
    phase: Phase, puts: Sequence[Put], publisher: Publisher, source: Path
) -> Iterator[Put]:
    """Put the files of one phase; yields each that is in place."""
    if isinstance(publisher, BulkPublisher):
        publisher.put_many({put.path: put.facts for put in puts}, source)
        yield from puts
        return
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        jobs: dict[Future[None], Put] = {
            pool.submit(_put, phase, put, publisher, source): put for put in puts
        }
        try:
            for job in as_completed(jobs):
                job.result()
                yield jobs[job]
        finally:
            # After a failure or an interrupt, no further put begins.
            pool.shutdown(cancel_futures=True)


def _put(phase: Phase, put: Put, publisher: Publisher, source: Path) -> None:
    # A file of an earlier run is trusted only if its name promises its bytes.
    if phase is Phase.CONTENT and publisher.has(put.path, put.facts):
        log.detail(f"{put.path} is there already")
        return
    publisher.put(put.path, source / put.path, put.facts)


@contextmanager
def _recording(to: Destination) -> Iterator[Callable[[Put], None]]:
    """Collect the files in place and record them, also when the phase ends by an error."""
    waiting: dict[PurePosixPath, FileFacts] = {}

    def flush() -> None:
        if waiting:
            to.record.record_put(to.target, dict(waiting))
            waiting.clear()

    def note(put: Put) -> None:
        waiting[put.path] = put.facts
        if len(waiting) >= _RECORDED_TOGETHER:
            flush()

    try:
        yield note
    finally:
        flush()
