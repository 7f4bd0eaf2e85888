"""Temporary names beside files and folders that are being written.

Each writer takes a name of its own and holds flock(2) on what it makes there. So several runs may
write the same file at once, and what is locked is in use: a killed run left the rest.
"""

import contextlib
import errno
import fcntl
import glob
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from backendai_ctl.base.handles import OPEN_FLAGS

_SUFFIX = ".backendai-tmp"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is one that is still being written, or was left."""
    return name.startswith(".") and name.endswith(_SUFFIX)


def temporary_name(name: str) -> str:
    """Return a new name for what will be renamed to ``name``."""
    return f".{name}.{secrets.token_hex(4)}{_SUFFIX}"


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[tuple[Path, int]]:
    """Yield an empty file beside ``path``, with mode 0600, and its descriptor for writing.

    It is removed afterwards unless the caller renamed it. OSError if it cannot be made.
    """
    with _new(path, is_folder=False) as made:
        yield made


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[tuple[Path, int]]:
    """Yield an empty folder beside ``path``, with mode 0700, and its descriptor; see new_file."""
    with _new(path, is_folder=True) as made:
        yield made


def remove_left(folder: Path, name: str = "") -> None:
    """Remove what killed runs left in ``folder``, or only that for names that begin so."""
    for left in folder.glob(f".{glob.escape(name)}*{_SUFFIX}"):
        _remove_unless_used(left)


@contextlib.contextmanager
def _new(path: Path, *, is_folder: bool) -> Iterator[tuple[Path, int]]:
    remove_left(path.parent, path.name)
    temporary, descriptor = _claim(path, is_folder=is_folder)
    try:
        yield temporary, descriptor
    finally:
        if _is_at(temporary, descriptor):
            _remove(temporary)
        os.close(descriptor)


def _claim(path: Path, *, is_folder: bool) -> tuple[Path, int]:
    while True:
        temporary = path.with_name(temporary_name(path.name))
        descriptor = _make_folder(temporary) if is_folder else os.open(temporary, _NEW_FILE, 0o600)
        if descriptor is None:
            continue
        # A file system without locks has nothing removed from it either.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is_at(temporary, descriptor):
            return temporary, descriptor
        os.close(descriptor)  # before the lock, another run took it for one that was left


def _make_folder(path: Path) -> int | None:
    path.mkdir(mode=0o700)
    try:
        return os.open(path, OPEN_FLAGS | os.O_DIRECTORY)
    except FileNotFoundError:
        return None  # another run took it for one that was left


def _remove_unless_used(left: Path) -> None:
    try:
        descriptor = os.open(left, OPEN_FLAGS)
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link, which no writer makes
            left.unlink(missing_ok=True)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(left, descriptor):
            _remove(left)
    except OSError:
        return  # in use, or it cannot be known
    finally:
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


def _remove(path: Path) -> None:
    if stat.S_ISDIR(path.lstat().st_mode):
        shutil.rmtree(path)
    else:
        path.unlink()
