"""A derived tree as one signed file: a line that says what it is, then a tar in zstd.

The line has the kind, the key, the size and sha256 of what follows, and an HMAC over them
all: a tree that another entry's line belongs to, or that anybody changed, is refused before
a byte of it is unpacked. Large files are not in the tar, which has empty ones at their places:
the line has their sha256, by which they are stored beside it. So a package travels as it is.
"""

import hashlib
import hmac
import json
import os
import re
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

from builder.base.errors import PayloadError
from builder.base.files import PUBLIC_FILE, PUBLIC_FOLDER, hash_file
from builder.base.parse import TextError, parse_json_object
from builder.base.paths import TARGET_ROOT
from builder.base.seal import MARK, SEAL, Hashes, identify
from builder.net.extract import extract_tar

_FORMAT = "backendai-builder tree 1"
_FORMAT_WITH_LARGE = "backendai-builder tree 2"
_LARGE = 4 << 20
_LEVEL = 3
_CHUNK = 1 << 20
_SHA256 = re.compile("[0-9a-f]{64}")
_MAX_LINE = 1 << 20
_OF_CACHE = (SEAL, MARK)  # what names of the cache's own files begin with


class PackedTreeError(Exception):
    """A packed tree is not what it should be."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a packed tree is of, and the key that it is signed by."""

    kind: str
    key: str
    secret: bytes


def pack_tree(folder: Path, target: Path, label: Label) -> dict[str, Path]:
    """Pack a folder of the cache into ``target``, signed; returns its large files by sha256.

    These are to be stored before the tree. Raises PackedTreeError if the folder has something
    that :func:`unpack_tree` would not restore.
    """
    if not any(_walk(folder)):
        raise PackedTreeError("it has no files")
    body = target.with_name(target.name + ".tar")
    with body.open("wb") as raw, zstandard.ZstdCompressor(level=_LEVEL).stream_writer(raw) as out:
        large = {name: hash_file(folder / name) for name in _write_tar(folder, out)}
    with body.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    line = _line(label, sha256, body.stat().st_size, large)
    with target.open("xb") as whole, body.open("rb") as file:
        whole.write(line)
        while chunk := file.read(_CHUNK):
            whole.write(chunk)
    body.unlink()
    return {sha256: folder / name for name, sha256 in large.items()}


def unpack_tree(
    packed: Path, target: Path, label: Label, fetch: Callable[[str, Path], bool]
) -> Hashes:
    """Unpack into the absent ``target``; returns the hashes of the large files.

    ``fetch`` writes the file of a sha256 to a new place, and returns whether it could. Raises
    PackedTreeError if anything is not as signed.
    """
    body = packed.with_name(packed.name + ".tar")
    with packed.open("rb") as file:
        line = file.readline(_MAX_LINE)
        sha256 = _copy(file, body)
    large = _large_of(line)
    expected = _line(label, sha256, body.stat().st_size, large)
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
    return _fill_large(target, large, packed.with_name(packed.name + ".large"), fetch)


def _fill_large(
    folder: Path, large: Mapping[str, str], part: Path, fetch: Callable[[str, Path], bool]
) -> Hashes:
    """Put the large files into the places of the empty ones; returns their hashes."""
    places = {path.relative_to(folder).as_posix(): path for path in _walk(folder)} if large else {}
    hashes: Hashes = {}
    for name, sha256 in large.items():
        path = places.get(name)
        if path is None or not stat.S_ISREG(path.lstat().st_mode) or path.lstat().st_size:
            raise PackedTreeError(f"it has no place for {name}")
        if not fetch(sha256, part):
            raise PackedTreeError(f"its file {name} is missing or damaged")
        status = path.stat()
        part.chmod(stat.S_IMODE(status.st_mode))
        os.utime(part, ns=(status.st_mtime_ns, status.st_mtime_ns))
        # Not renamed over the empty one: ext4 then writes the file out at once, and the tree is
        # nobody's yet.
        path.unlink()
        part.rename(path)
        hashes[identify(path.stat())] = sha256
    return hashes


def _large_of(line: bytes) -> dict[str, str]:
    """Return the large files that a line names, whoever wrote it."""
    try:
        found = parse_json_object(line).get("large")
    except TextError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        name: sha256
        for name, sha256 in found.items()
        if isinstance(sha256, str) and _SHA256.fullmatch(sha256)
    }


def _line(label: Label, sha256: str, size: int, large: Mapping[str, str]) -> bytes:
    facts: dict[str, object] = {
        "bytes": size,
        "format": _FORMAT_WITH_LARGE if large else _FORMAT,
        "key": label.key,
        "kind": label.kind,
        "sha256": sha256,
    }
    if large:
        facts["large"] = dict(large)
    text = json.dumps(facts, sort_keys=True).encode()
    signature = hmac.new(label.secret, text, hashlib.sha256).hexdigest()
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


def _write_tar(folder: Path, out: BinaryIO) -> list[str]:
    """Write the tar; returns the names of the large files, which are empty in it."""
    large = []
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
                if status.st_size >= _LARGE:
                    large.append(name)
                    tar.addfile(info)
                    continue
                # Never as a hard link: the cache's own links are between entries.
                info.size = status.st_size
                with path.open("rb") as content:
                    tar.addfile(info, content)
    return large


def _walk(folder: Path, left_out: tuple[str, ...] = _OF_CACHE) -> Iterator[Path]:
    """Yield all paths below a folder, without the cache's own, which lie in it directly."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(left_out):
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, ())
