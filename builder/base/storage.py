"""Writes files whole, and says what is wrong with the disk that they lie on."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from builder.base.errors import SPACE_HINT, StorageError
from builder.base.files import PUBLIC_FILE, make_public_folder

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# The last two: a file lies at the place of a folder.
_CLOSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST})


def storage_error(error: OSError, path: Path) -> StorageError:
    """Turn an OSError on ``path`` into an error with a hint."""
    where = error.filename or path
    if error.errno in _FULL:
        return StorageError(f"no space left on the disk of {where}", hint=SPACE_HINT)
    if error.errno in _CLOSED:
        hint = "choose another folder with --out or BUILDER_CACHE, or fix its permissions"
        return StorageError(f"cannot write {where}: {error.strerror}", hint=hint)
    return StorageError(f"{where}: {error.strerror}")


@contextmanager
def storage_guard(path: Path) -> Iterator[None]:
    """Raise StorageError in place of the OSErrors of a full or read-only disk."""
    try:
        yield
    except OSError as error:
        _reraise(error, path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a file beside ``path`` to write to; at the end it replaces ``path``.

    Everybody may read the file, whatever the caller's umask. If writing fails, nothing
    is left beside ``path``, and ``path`` is unchanged.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with storage_guard(path):
        make_public_folder(path.parent)
        try:
            yield part
            part.chmod(PUBLIC_FILE)
            part.replace(path)
        finally:
            with suppress(OSError):  # the earlier error is the one to report
                part.unlink(missing_ok=True)


def _reraise(error: OSError, path: Path) -> NoReturn:
    if error.errno in _FULL | _CLOSED:
        raise storage_error(error, path) from error
    raise error
