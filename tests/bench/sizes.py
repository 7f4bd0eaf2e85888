"""The sizes of the family's packages, beside those of an earlier layout."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from builder.inspect import inspect_package
from tests.bench.family import FAMILY


@dataclass(frozen=True, kw_only=True)
class Size:
    """One package: its file and what it installs, in bytes; ``former`` likewise, 0 if absent."""

    package: str
    packed_bytes: int
    installed_bytes: int
    files: int
    former_packed_bytes: int = 0
    former_installed_bytes: int = 0
    former_files: int = 0


def read_sizes(dist: Path, former: Path | None) -> Iterator[Size]:
    """Yield the sizes of the debs in ``dist``, and of those of the same names in ``former``."""
    for package in FAMILY:
        packed, installed, files = _size(dist, package)
        before = _size(former, package) if former else (0, 0, 0)
        yield Size(
            package=package,
            packed_bytes=packed,
            installed_bytes=installed,
            files=files,
            former_packed_bytes=before[0],
            former_installed_bytes=before[1],
            former_files=before[2],
        )


def _size(dist: Path, package: str) -> tuple[int, int, int]:
    paths = sorted(dist.glob(f"{package}_*.deb"))
    if not paths:
        return (0, 0, 0)
    found = inspect_package(paths[-1])
    return paths[-1].stat().st_size, found.payload_size, found.file_count
