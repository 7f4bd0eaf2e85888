"""A derived tree as one signed file: a line that says what it is, then a tar in zstd.

The line has the kind, the key, the size and sha256 of what follows, and an HMAC over them
all: a tree that another entry's line belongs to, or that anybody changed, is refused before
a byte of it is unpacked.
"""

import hashlib
import hmac
import json
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from builder.base.errors import PayloadError
from builder.base.files import PUBLIC_FILE, PUBLIC_FOLDER
from builder.base.parse import TextError, parse_json_object
from builder.base.paths import TARGET_ROOT
from builder.base.seal import MARK, SEAL
from builder.net.extract import extract_tar

_FORMAT = "backendai-builder tree 1"
_LEVEL = 3
_CHUNK = 1 << 20
_MAX_LINE = 2048
_OF_CACHE = (SEAL, MARK)  # what names of the cache's own files begin with


class PackedTreeError(Exception):
    """A packed tree is not what it should be."""


def pack_tree(folder: Path, target: Path, *, kind: str, key: str, secret: bytes) -> None:
    """Pack a sealed folder of the cache into ``target``, signed.

    Raises PackedTreeError if it has something that :func:`unpack_tree` would not restore.
    """
    if not any(_walk(folder)):
        raise PackedTreeError("it has no files")
    body = target.with_name(target.name + ".tar")
    with body.open("wb") as raw, zstandard.ZstdCompressor(level=_LEVEL).stream_writer(raw) as out:
        _write_tar(folder, out)
    with body.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    line = _line(kind, key, sha256, body.stat().st_size, secret)
    with target.open("xb") as whole, body.open("rb") as file:
        whole.write(line)
        while chunk := file.read(_CHUNK):
            whole.write(chunk)
    body.unlink()


def unpack_tree(packed: Path, target: Path, *, kind: str, key: str, secret: bytes) -> None:
    """Unpack into the absent ``target``; raises PackedTreeError if anything is not as signed."""
    body = packed.with_name(packed.name + ".tar")
    with packed.open("rb") as file:
        line = file.readline(_MAX_LINE)
        sha256 = _copy(file, body)
    expected = _line(kind, key, sha256, body.stat().st_size, secret)
    if not hmac.compare_digest(line, expected):
        raise PackedTreeError(_reason(line, expected))
    try:
        # Signed, but a site's key may be stolen: nothing lands outside the folder all the same.
        extract_tar(body, target, links_below=TARGET_ROOT)
    except PayloadError as error:
        raise PackedTreeError(error.message) from error
    finally:
        body.unlink(missing_ok=True)
    _check_names(target)


def _line(kind: str, key: str, sha256: str, size: int, secret: bytes) -> bytes:
    facts = {"bytes": size, "format": _FORMAT, "key": key, "kind": kind, "sha256": sha256}
    text = json.dumps(facts, sort_keys=True).encode()
    signature = hmac.new(secret, text, hashlib.sha256).hexdigest()
    return json.dumps(facts | {"signature": signature}, sort_keys=True).encode() + b"\n"


def _reason(line: bytes, expected: bytes) -> str:
    """Return what differs first, for the message only."""
    needed = json.loads(expected)
    try:
        found = parse_json_object(line)
    except TextError:
        return "it is no packed tree"
    for name, what in (
        ("format", "another format"),
        ("kind", "the label of another entry"),
        ("key", "the label of another entry"),
        ("bytes", "another size than its label says"),
        ("sha256", "other content than its label says"),
    ):
        if found.get(name) != needed[name]:
            return f"it has {what}"
    return "its signature is not by BUILDER_REMOTE_CACHE_KEY"


def _copy(file: BinaryIO, target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("xb") as body:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            body.write(chunk)
    return digest.hexdigest()


def _check_names(folder: Path) -> None:
    """Refuse names of the cache's own: a tree brings no seal."""
    for path in folder.iterdir():
        if path.name.startswith(_OF_CACHE):
            raise PackedTreeError(f"it brings a file of the cache itself: {path.name}")


def _write_tar(folder: Path, out: BinaryIO) -> None:
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path in _walk(folder):
            name = path.relative_to(folder).as_posix()
            status = path.lstat()
            info = tarfile.TarInfo(name)
            info.mode = stat.S_IMODE(status.st_mode)
            info.mtime = int(status.st_mtime)
            if path.is_symlink():
                info.mode = 0o777
                info.type, info.linkname = tarfile.SYMTYPE, os.fspath(path.readlink())
                tar.addfile(info)
            elif info.mode not in (PUBLIC_FILE, PUBLIC_FOLDER):
                raise PackedTreeError(f"{name} has the mode {info.mode:04o}")
            elif path.is_dir():
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                # Never as a hard link: the cache's own links are between entries.
                info.size = status.st_size
                with path.open("rb") as content:
                    tar.addfile(info, content)


def _walk(folder: Path, left_out: tuple[str, ...] = _OF_CACHE) -> Iterator[Path]:
    """Yield all paths below a folder, without the cache's own, which lie in it directly."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(left_out):
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, ())
