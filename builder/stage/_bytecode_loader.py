"""Loads bytecode from one archive for each package; Python's ``site`` runs it at every start.

Installed as ``_backendai_bytecode`` in the runtime's site-packages, with a path file that
calls :func:`install`. dpkg and rpm need longer for a file than an import does: the bytecode
of a node's wheels is 11,000 files in 2,400 folders, and here it is one file for each package.

Nothing depends on an archive: a module that is not in one, that is newer than it (an admin
has changed it), or whose archive cannot be read is loaded as Python always does.
"""

import marshal
import os
import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)

# Every start of Python pays for what is imported here, so no typing and no pathlib.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # Where the bytecode of a module is: archive (mmap), offset, length, when it was made.
    _Place = tuple[Any, int, int, float]

# The file: MAGIC, the index's length, the index, and the bytes of each pyc. The index is
# marshalled, because that needs no import: {path below site-packages: (offset, length)}.
SUFFIX = ".bytecode"
MAGIC = b"backendai-bytecode 1\n"
LENGTH_BYTES = 8  # little-endian

_SITE = "/site-packages"
_PYC = ".pyc"


_named: dict[str, list[str]] = {}  # the archives, by folder of distributions
_found: "dict[str, dict[str, _Place]]" = {}  # what is in them


class _ArchiveLoader(SourceFileLoader):
    """Loads a module from its source, and its bytecode from an archive."""

    _changed = 0.0

    def path_stats(self, path: str) -> "Any":
        """Note when the source was changed; the bytecode is asked for next."""
        stats = super().path_stats(path)
        self._changed = stats["mtime"]
        return stats

    def get_data(self, path: str) -> bytes:
        """Return the bytes of ``path``: an archive's for bytecode."""
        if path.endswith(_PYC):
            site = _site_of(path)
            place = places(site).get(path[len(site) + 1 :])
            if place is not None:
                archive, offset, length, made = place
                if self._changed <= made:
                    return bytes(archive[offset : offset + length])
        return super().get_data(path)


def install() -> None:
    """Load what is below a folder with archives through them, from now on."""
    if _find_below in sys.path_hooks:
        return
    sys.path_hooks.insert(0, _find_below)
    for path in [path for path in sys.path_importer_cache if _SITE in path]:
        del sys.path_importer_cache[path]


_find_in = FileFinder.path_hook(
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (_ArchiveLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)


def _find_below(path: str) -> "Any":
    """Return the finder for a folder of modules; ImportError leaves it to Python's own."""
    site = _site_of(path)
    if site and _archives(site):
        return _find_in(path)
    raise ImportError


def _site_of(path: str) -> str:
    """Return the folder of distributions that the path is below; empty if there is none."""
    before, found, _ = path.partition(_SITE)
    return before + found if found else ""


def _archives(site: str) -> list[str]:
    """Return the names of a folder's archives; it is read once, not for each package in it."""
    if site not in _named:
        try:
            names = os.listdir(site)  # noqa: PTH208  # no pathlib
        except OSError:
            names = []
        _named[site] = sorted(name for name in names if name.endswith(SUFFIX))
    return _named[site]


def places(site: str) -> "dict[str, _Place]":
    """Return the bytecode of a folder of distributions, from all of its archives."""
    if site not in _found:
        found = {}
        for name in _archives(site):
            try:
                found.update(_read(f"{site}/{name}"))
            except Exception:  # whatever it is, the sources are there
                continue
        _found[site] = found  # at once: another thread may import, too
    return _found[site]


def _read(path: str) -> "dict[str, _Place]":
    import mmap  # noqa: PLC0415  # most processes that start import nothing from an archive

    with open(path, "rb") as file:  # noqa: PTH123  # pathlib would double the time of a start
        made = os.fstat(file.fileno()).st_mtime
        archive = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    head = len(MAGIC) + LENGTH_BYTES
    if archive[: len(MAGIC)] != MAGIC:
        raise ValueError(path)
    begin = head + int.from_bytes(archive[len(MAGIC) : head], "little")
    index = marshal.loads(archive[head:begin])
    return {
        name: (archive, begin + offset, length, made)
        for name, (offset, length) in index.items()
        if begin + offset + length <= len(archive)
    }
