"""Known vulnerabilities of wheels, from a snapshot of OSV's records of PyPI."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from builder.base.errors import UsageError
from builder.release.advisories import PYPI, Advisories, wheel_component
from builder.release.records import Vulnerability, read_records, reading_snapshot


class Snapshot:
    """The records of a snapshot by distribution."""

    def __init__(self, records: Iterator[Any]) -> None:
        self._advisories = Advisories(records)

    def __len__(self) -> int:
        return self._advisories.count(PYPI)

    def find(self, distribution: str, version: str) -> list[Vulnerability]:
        """Return the known vulnerabilities of a version, sorted by name."""
        return self._advisories.find(wheel_component(distribution, version))


def load_snapshot(path: Path) -> Snapshot:
    """Load a snapshot; raises UsageError if it is none."""
    with reading_snapshot(path):
        snapshot = Snapshot(read_records(path))
    if not len(snapshot):
        raise UsageError(
            f"{path} has no record of PyPI",
            hint="give the ZIP that OSV publishes for PyPI, or a folder of its JSON files",
        )
    return snapshot
