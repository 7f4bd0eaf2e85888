"""Reads the binary header of an rpm: an index of tags and a store of values.

The library ``rpmfile`` reads it too, but loads a whole zstd payload into memory (more
than 400 MB here), lacks file sizes above 4 GB, and fails with bare exceptions on damage.
The format is small enough to read here.
https://rpm-software-management.github.io/rpm/manual/format_v4.html
"""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

from builder.inspect.streams import DamagedError

LEAD_MAGIC = b"\xed\xab\xee\xdb"
_LEAD = 96
_MAGIC = b"\x8e\xad\xe8\x01"
_INTRO = 16
_INDEX_ENTRY = 16
# rpm's own bounds are 64 Ki tags and 256 MiB; these fit 100,000 files with room.
_MAX_TAGS = 1 << 16
_MAX_STORE = 64 << 20
_NUMBERS = {1: "B", 2: "B", 3: "H", 4: "I", 5: "Q"}
_STRING, _BINARY, _STRINGS, _I18N = 6, 7, 8, 9

Value = tuple[int, ...] | tuple[str, ...] | bytes


class Tag(IntEnum):
    """The tags that are read, by rpm's numbers."""

    HEADER_SHA256 = 273  # in the signature header
    NAME = 1000
    VERSION = 1001
    RELEASE = 1002
    EPOCH = 1003
    SUMMARY = 1004
    DESCRIPTION = 1005
    SIZE = 1009
    VENDOR = 1011
    LICENCE = 1014
    PACKAGER = 1015
    GROUP = 1016
    URL = 1020
    ARCH = 1022
    FILE_SIZES = 1028
    FILE_MODES = 1030
    FILE_LINKS = 1036
    FILE_FLAGS = 1037
    FILE_USERS = 1039
    FILE_GROUPS = 1040
    DIR_INDEXES = 1116
    BASE_NAMES = 1117
    DIR_NAMES = 1118
    PAYLOAD_FORMAT = 1124
    PAYLOAD_COMPRESSOR = 1125
    LONG_FILE_SIZES = 5008
    LONG_SIZE = 5009
    PAYLOAD_DIGEST = 5092
    PAYLOAD_DIGEST_ALGORITHM = 5093


@dataclass(frozen=True, kw_only=True)
class Header:
    """The values of a header, by the numbers of their tags."""

    values: dict[int, Value]

    def texts(self, tag: int) -> tuple[str, ...]:
        """Return the strings of ``tag``; none if it is absent."""
        value = self.values.get(tag, ())
        if isinstance(value, bytes) or any(isinstance(item, int) for item in value):
            raise DamagedError(f"tag {tag} of its header is no text")
        return tuple(str(item) for item in value)

    def text(self, tag: int) -> str:
        """Return the first string of ``tag``; empty if it is absent."""
        return next(iter(self.texts(tag)), "")

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return the numbers of ``tag``; none if it is absent."""
        value = self.values.get(tag, ())
        if isinstance(value, bytes) or any(isinstance(item, str) for item in value):
            raise DamagedError(f"tag {tag} of its header is no number")
        return tuple(int(item) for item in value)

    def number(self, *tags: int) -> int | None:
        """Return the first number of the first of ``tags`` that is present."""
        return next((found[0] for tag in tags if (found := self.numbers(tag))), None)


def skip_signature(file: BinaryIO) -> int:
    """Read an rpm up to its main header, and return where that begins."""
    _read_signature(file)
    return file.tell()


def _read_signature(file: BinaryIO) -> Header:
    lead = _take(file, _LEAD)
    if lead[:4] != LEAD_MAGIC:
        raise DamagedError("it does not begin as an rpm does")
    signature, blob = _read_header(file)
    _take(file, -len(blob) % 8)
    return signature


def read_headers(file: BinaryIO) -> tuple[Header, int]:
    """Read the main header of an rpm, check its hash, and return it with the payload's offset."""
    signature = _read_signature(file)
    header, blob = _read_header(file)
    stated = signature.text(Tag.HEADER_SHA256)
    if stated and stated != hashlib.sha256(blob).hexdigest():
        raise DamagedError("its header does not have the sha256 that its signature states")
    return header, file.tell()


def _read_header(file: BinaryIO) -> tuple[Header, bytes]:
    intro = _take(file, _INTRO)
    count, size = struct.unpack(">II", intro[8:])
    if intro[:4] != _MAGIC or count > _MAX_TAGS or size > _MAX_STORE:
        raise DamagedError("its header is damaged")
    index = _take(file, count * _INDEX_ENTRY)
    store = _take(file, size)
    values: dict[int, Value] = {}
    for tag, kind, offset, length in struct.iter_unpack(">IIII", index):
        # 0 is NULL; below 100 lie the regions, which say how the header was signed.
        if kind and tag >= 100:  # noqa: PLR2004
            values[tag] = _value(store, kind, offset, length)
    return Header(values=values), intro + index + store


def _take(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise DamagedError("it is cut off within its header")
    return data


def _value(store: bytes, kind: int, offset: int, count: int) -> Value:
    if offset > len(store) or count > len(store):
        raise DamagedError("its header points outside itself")
    if kind in _NUMBERS:
        form = f">{count}{_NUMBERS[kind]}"
        if offset + struct.calcsize(form) > len(store):
            raise DamagedError("its header points outside itself")
        return struct.unpack_from(form, store, offset)
    if kind == _BINARY:
        return store[offset : offset + count]
    if kind in (_STRING, _STRINGS, _I18N):
        return _strings(store, offset, count)
    raise DamagedError(f"its header has a value of the unknown type {kind}")


def _strings(store: bytes, offset: int, count: int) -> tuple[str, ...]:
    found = []
    position = offset
    find: Callable[[bytes, int], int] = store.find
    for _ in range(count):
        end = find(b"\0", position)
        if end < 0:
            raise DamagedError("a text in its header has no end")
        found.append(store[position:end].decode("utf-8", "surrogateescape"))
        position = end + 1
    return tuple(found)
