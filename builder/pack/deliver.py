"""Puts packages from the cache into the out folder, and knows which of them are there already."""

import json
import os
import shutil
from pathlib import Path

from builder.base.cache import Cache, key_of
from builder.base.files import make_public_folder
from builder.base.parse import TextError, parse_json
from builder.base.storage import replacing, storage_guard
from builder.pack.packing import Artifact


def check_out(out: Path) -> None:
    """Raise StorageError now, not after the build, if the folder cannot be written."""
    with storage_guard(out):
        make_public_folder(out)
        probe = out / f".{os.getpid()}.part"
        probe.touch()
        probe.unlink()


def deliver(artifact: Artifact, out: Path, cache: Cache) -> Path:
    """Put an artifact into ``out`` by rename; returns its path."""
    target = out / artifact.file
    with replacing(target) as part:
        # A copy, not a link: files in dist/ may be signed in place.
        shutil.copyfile(artifact.path, part)
    for name, path in artifact.beside.items():
        with replacing(out / name) as part:
            shutil.copyfile(path, part)
    with replacing(_record(target, cache)) as part:
        part.write_text(json.dumps(_facts(artifact, target)) + "\n", encoding="utf-8")
    return target


def was_delivered(target: Path, cache: Cache) -> bool:
    """Return whether some package was delivered to this place."""
    return _record(target, cache).is_file()


def is_delivered(artifact: Artifact, out: Path, cache: Cache) -> bool:
    """Return whether ``out`` has the artifact, untouched since :func:`deliver` put it there.

    The kernel sets the time of a file's last change, which no program can set back: a file
    that was signed, damaged or replaced is delivered again.
    """
    target = out / artifact.file
    try:
        return bool(parse_json(_record(target, cache).read_bytes()) == _facts(artifact, target))
    except (OSError, TextError):
        return False


def _record(target: Path, cache: Cache) -> Path:
    return cache.root / "delivered" / f"{key_of(os.fspath(target.resolve()))}.json"


def _facts(artifact: Artifact, target: Path) -> dict[str, object]:
    """Return what identifies the artifact, and the state of the file at its place."""
    status = target.lstat()
    beside = [target.with_name(name).lstat() for name in artifact.beside]
    return {
        "sha256": artifact.sha256,
        "device": status.st_dev,
        "inode": status.st_ino,
        "mode": status.st_mode,
        "size": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "changed_ns": status.st_ctime_ns,
        "beside": [[found.st_size, found.st_ctime_ns] for found in beside],
    }
