"""Restores one file of a backup to its place, in folders opened without following links."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from backendai_ctl.backup.content import KeptFile, kept_folders
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import HostError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.temporary import temporary_name

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def put_back(layout: Layout, kept: KeptFile, source: Path) -> Path:
    """Restore the file, folder or link; HostError if its place has something else."""
    target = layout.root / kept.path
    try:
        if kept.kind == "folder":
            with _opened(layout, target, kept):
                return target
        with _opened(layout, target.parent, None) as folder:
            beside = temporary_name("restored")
            try:
                if kept.kind == "link":
                    os.symlink(kept.link, beside, dir_fd=folder)
                else:
                    _write(folder, beside, kept, source)
                os.rename(beside, target.name, src_dir_fd=folder, dst_dir_fd=folder)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(beside, dir_fd=folder)
    except OSError as error:
        raise HostError(f"cannot restore {target}: {error.strerror}") from error
    return target


def _write(folder: int, name: str, kept: KeptFile, source: Path) -> None:
    descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as stream, source.open("rb") as content:
        shutil.copyfileobj(content, stream)
        stream.flush()
        os.fchown(descriptor, kept.uid, kept.gid)
        os.fchmod(descriptor, kept.mode)
        os.fsync(descriptor)


@contextlib.contextmanager
def _opened(layout: Layout, path: Path, wanted: KeptFile | None) -> Iterator[int]:
    """Open a kept folder, or one below it, and create what is missing on the way.

    A kept folder may be a link that an admin put there; below it, no link is followed. ``wanted``
    gives owner and mode of the last folder if that has to be created.
    """
    kept = next(kept for kept in kept_folders(layout) if path.is_relative_to(kept.path))
    top = kept.path
    Writer(owner=Owner.caller()).ensure_folder(top, mode=kept.mode)
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        names = path.relative_to(top).parts
        for depth, name in enumerate(names, start=1):
            is_new = False
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=descriptor)
                is_new = True
            below = os.open(name, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
            if is_new and wanted is not None and depth == len(names):
                os.fchown(descriptor, wanted.uid, wanted.gid)
                os.fchmod(descriptor, wanted.mode)
        yield descriptor
    finally:
        os.close(descriptor)
