"""Changes files through descriptors, and refuses a link that somebody put in a file's place.

A path may point elsewhere by the time it is used; a descriptor cannot.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from backendai_ctl.base.errors import HostError

# Neither follows a link nor waits for the other end of a pipe.
OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open the file or folder at ``path`` itself.

    Raises HostError for a link, a file with a second name, and anything that is neither file nor
    folder, because another user may have chosen what would be changed.
    """
    try:
        descriptor = os.open(path, OPEN_FLAGS)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise HostError(f"{path}: is a link", hint="change what it leads to by hand") from error
        raise HostError(f"cannot open {path}: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise HostError(f"{path}: is neither a file nor a folder")
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            raise HostError(f"{path}: has a second name", hint="remove the other hard link")
        yield descriptor
    finally:
        os.close(descriptor)


def set_mode(path: Path, mode: int) -> None:
    """Change the mode of a file or folder; HostError as in ``opened``."""
    with opened(path) as descriptor:
        os.fchmod(descriptor, mode)


def set_owner(path: Path, uid: int, gid: int) -> None:
    """Change the owner of a file or folder; HostError as in ``opened``."""
    with opened(path) as descriptor:
        os.fchown(descriptor, uid, gid)
