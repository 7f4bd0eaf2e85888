"""Assembles trees from trees of the cache: by hard link if a file needs no change."""

import filecmp
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

Clash = Callable[[Path], None]


def link_tree(
    source: Path,
    target: Path,
    *,
    epoch: int,
    on_clash: Clash | None = None,
    without: Collection[str] = (),
) -> None:
    """Put every file below ``source`` below ``target``, with ``epoch`` as its mtime.

    A cached file is shared by many stages, so its times and mode are never changed:
    a file with another mtime is copied. ``on_clash`` gets a path that exists already
    with different content; without ``on_clash`` that is an error. Files whose path below
    ``source`` is in ``without`` are left out.
    """
    skipped = frozenset(f"{source}/{path}" for path in without)
    _link_folder(os.fspath(source), os.fspath(target), _Linking(epoch, on_clash, skipped))


class _Linking(NamedTuple):
    epoch: int
    on_clash: Clash | None
    skipped: frozenset[str]


def _link_folder(source: str, target: str, how: _Linking) -> None:
    # Plain strings: a stage has 20,000 files.
    os.makedirs(target, exist_ok=True)  # noqa: PTH103
    with os.scandir(source) as entries:
        for entry in entries:
            place = f"{target}/{entry.name}"
            if entry.path in how.skipped:
                continue
            if entry.is_dir(follow_symlinks=False):
                _link_folder(entry.path, place, how)
            elif entry.is_symlink():
                os.symlink(os.readlink(entry.path), place)  # noqa: PTH115, PTH211
            else:
                _place_file(entry, place, how.epoch, how.on_clash)


def remove_empty(root: Path, paths: Iterable[str]) -> None:
    """Remove the folders of ``paths`` below ``root`` in which nothing is left."""
    above = {parent for path in paths for parent in PurePosixPath(path).parents}
    for folder in sorted(above, key=lambda parent: -len(parent.parts)):
        with suppress(OSError):  # not empty, or never made
            (root / folder).rmdir()


def _place_file(entry: "os.DirEntry[str]", place: str, epoch: int, on_clash: Clash | None) -> None:
    try:
        if entry.stat(follow_symlinks=False).st_mtime_ns == epoch * 10**9:
            os.link(entry.path, place)
        else:
            _copy_new(entry.path, place)
            os.utime(place, (epoch, epoch))
    except FileExistsError:
        if filecmp.cmp(entry.path, place, shallow=False):
            return
        if on_clash is None:
            raise
        on_clash(Path(place))


def _copy_new(source: str, place: str) -> None:
    """Copy bytes and mode to a path that must not exist yet."""
    with open(source, "rb") as read, open(place, "xb") as written:  # noqa: PTH123
        shutil.copyfileobj(read, written)
    shutil.copymode(source, place)


def write_file(path: Path, content: bytes, mode: int) -> None:
    """Write a file of this tree's own, in place of any link to the cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def normalize_metadata(root: Path, *, epoch: int) -> None:
    """Give folders one mode and all paths one mtime; files that have it are left alone."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118  # 20,000 of them
            if os.lstat(path).st_mtime_ns != epoch * 10**9:
                os.utime(path, (epoch, epoch), follow_symlinks=False)
    for folder, _, _ in os.walk(root, topdown=False):
        Path(folder).chmod(0o755)
        os.utime(folder, (epoch, epoch))


def measure(root: Path) -> tuple[int, int]:
    """Count files and bytes below ``root``, links not followed."""
    count = size = 0
    for folder, _, names in os.walk(root):
        for name in names:
            count += 1
            size += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118
    return count, size


def files_below(root: Path) -> Iterator[str]:
    """Yield every file and link below ``root``, as a path relative to it."""
    top = os.fspath(root)
    for folder, folders, names in os.walk(top):
        links = [name for name in folders if os.path.islink(f"{folder}/{name}")]  # noqa: PTH114
        for name in sorted([*names, *links]):
            yield os.path.relpath(f"{folder}/{name}", top)
