"""Files and folders: names, hashes, and modes that do not depend on the caller's umask."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

PUBLIC_FOLDER = 0o755
PUBLIC_FILE = 0o644
_BLOCK = 1 << 18
LONGEST_NAME = 255  # bytes; the limit of every file system in use


def check_file_name(name: str) -> str:
    """Return ``name`` if it can only name a file in a folder; raises ValueError otherwise."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} is no file's name")
    if len(name.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
        raise ValueError(f"{name[:40]!r}… is longer than {LONGEST_NAME} bytes: no file's name")
    return name


def hash_file(path: str | Path) -> str:
    """Return the sha256 of a file, in hex."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - thousands, by their names
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_stream(file: BinaryIO, name: str) -> tuple[str, int]:
    """Return the hash of this name, in hex, and the size of what a file has from here on."""
    hasher, size = hashlib.new(name), 0
    while block := file.read(_BLOCK):
        hasher.update(block)
        size += len(block)
    return hasher.hexdigest(), size


def hash_sources(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of a program, by its path below ``folder``; no bytecode."""
    return {
        path.relative_to(folder).as_posix(): hash_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def walk_files(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """Yield every file below ``folder``, in no order and without holding them.

    Links to folders are not followed; what cannot be read, or is not there, has no files.
    """
    waiting = [os.fspath(folder)]
    while waiting:
        with suppress(FileNotFoundError, PermissionError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file():
                    yield entry


def remove_unused(paths: Iterable[Path], seconds: float) -> None:
    """Remove the files that nobody has changed or touched for that long."""
    for path in paths:
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - seconds:
                path.unlink()


def make_public_folder(path: Path) -> Path:
    """Make the folder and its missing parents, for everybody to enter; returns the folder.

    A folder that exists keeps its mode: an admin may have closed it.
    """
    missing = []
    folder = path
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(PUBLIC_FOLDER)
    return path


def link_file(source: Path, target: Path) -> None:
    """Have a file at ``target`` too, without a copy if both lie on one file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except FileExistsError:
        return
    except OSError:
        if not source.is_file():
            raise
        shutil.copyfile(source, target)
