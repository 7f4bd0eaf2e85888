"""Seals finished folders of the cache, and detects later changes in them.

The seal is a file in the folder with the sha256 of each other file. Whether a disk, a crash
or a person changed a byte, the seal no longer fits.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from builder.base.files import hash_file
from builder.base.parse import TextError, parse_json

SEAL = ".sealed"
MARK = ".complete"  # of entries made before seals existed

Hashes = dict[tuple[int, ...], str]
"""Hashes of files by their identity on this host: a wheel's file is linked into stages."""


def make_seal(folder: Path, hashes: Hashes) -> None:
    """Seal a finished folder; ``hashes`` are this process's known hashes, extended here."""
    text = json.dumps({"files": dict(_read_tree(folder, hashes))}, sort_keys=True)
    part = folder / f"{SEAL}.{os.getpid()}.part"
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(folder / SEAL)


def find_damage(folder: Path, hashes: Hashes, files: Sequence[str] = ()) -> str | None:
    """Return the first path that differs from the seal, or None if none does.

    With ``files`` only these are read.
    """
    sealed = _load_seal(folder)
    if sealed is None:
        return SEAL
    try:
        if files:
            return next((name for name in files if _fact_of(folder, name) != sealed[name]), None)
        found = dict(_read_tree(folder, hashes))
    except (OSError, KeyError) as error:
        return str(error)
    differing = [name for name in {**sealed, **found} if sealed.get(name) != found.get(name)]
    if differing:
        hashes.clear()  # the inode numbers of files that are about to go will be used again
    return min(differing, default=None)


def _load_seal(folder: Path) -> Mapping[str, str] | None:
    try:
        table = parse_json((folder / SEAL).read_bytes())
    except (OSError, TextError):
        return None
    files = table.get("files") if isinstance(table, dict) else None
    return files if isinstance(files, dict) else None


def _fact_of(folder: Path, name: str) -> str:
    path = os.path.join(folder, name)  # noqa: PTH118
    return _fact(path, os.lstat(path), {})


def _read_tree(folder: Path, hashes: Hashes) -> Iterator[tuple[str, str]]:
    """Yield each file and link below ``folder`` with its fact, except the seal itself."""
    root = os.fspath(folder)
    waiting = [root]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                name = entry.path[len(root) + 1 :]
                if not name.startswith((SEAL, MARK)):
                    yield name, _fact(entry.path, entry.stat(follow_symlinks=False), hashes)


def identify(status: os.stat_result) -> tuple[int, ...]:
    """Return the key of a file in :data:`Hashes`."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _fact(path: str, status: os.stat_result, hashes: Hashes) -> str:
    """Return the sealed facts of a file: its kind, whether it is executable, and its sha256."""
    if stat.S_ISLNK(status.st_mode):
        return f"link {os.readlink(path)}"  # noqa: PTH115 - 20,000 of them
    key = identify(status)
    if key not in hashes:
        hashes[key] = hash_file(path)
    return f"{'program' if status.st_mode & stat.S_IXUSR else 'file'} {hashes[key]}"
