"""What the cache holds, and the choice of what to remove from it.

An entry was last used when a build last took it: each use sets its time. An entry goes whole:
it is renamed into the scratch folder first, which the next build empties after a kill.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from builder.base.cache import Cache
from builder.stage.linking import files_below

DOWNLOADS = "download"


@dataclass(frozen=True, kw_only=True)
class CacheEntry:
    """Something that goes or stays whole."""

    kind: str  # 'download', or what was derived: 'stage', 'artifact', 'wheel', ...
    path: Path
    used: float  # seconds since the epoch
    size: int  # bytes on the disk; a file that several entries link to counts in parts


@dataclass(frozen=True, kw_only=True)
class PruneLimits:
    """What may stay; None is no limit."""

    unused_s: float | None = None
    kept_bytes: int | None = None
    downloads: bool = False  # whether downloads may go, too


def list_entries(cache: Cache) -> list[CacheEntry]:
    """Return all entries of the cache, those that were not used for longest first."""
    found = []
    for kind, path in cache.entries():
        with suppress(FileNotFoundError):  # it has just gone: a build replaces what is damaged
            entry = CacheEntry(kind=kind, path=path, used=cache.last_use(path), size=_size(path))
            found.append(entry)
    return sorted(found, key=lambda entry: (entry.used, entry.path))


def choose_unneeded(
    entries: Sequence[CacheEntry], limits: PruneLimits, now: float
) -> list[CacheEntry]:
    """Return the entries that have to go; ``entries`` as :func:`list_entries` returns them. Pure.

    The size of all entries counts towards ``kept_bytes``, of downloads that may not go as well.
    """
    left = sum(entry.size for entry in entries)
    chosen = []
    for entry in entries:
        is_old = limits.unused_s is not None and now - entry.used > limits.unused_s
        is_excess = limits.kept_bytes is not None and left > limits.kept_bytes
        if (is_old or is_excess) and (limits.downloads or entry.kind != DOWNLOADS):
            chosen.append(entry)
            left -= entry.size
    return chosen


def remove_entries(cache: Cache, entries: Sequence[CacheEntry]) -> None:
    """Remove entries of a cache that nobody else uses (see :meth:`Cache.claim`)."""
    for entry in entries:
        cache.discard(entry.path)


def _size(path: Path) -> int:
    files = [path / name for name in files_below(path)] if path.is_dir() else [path]
    found = [file.lstat() for file in files]
    return sum(status.st_blocks * 512 // status.st_nlink for status in found)
