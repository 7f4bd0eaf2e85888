"""Compressed files that are joined from parts which were compressed apart. Pure.

An index of thousands of packages changes in a few places; only the parts there are compressed
again. A join is an ordinary file of its format: one member of gzip, one stream of xz with a
block for each part. Of zstd it is several frames, which its readers read as one.
"""

import lzma
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

import zstandard

from builder.repo.config import IndexCompression

# Packages is so repetitive that a higher level gains little: 3 takes a third of 6's time.
_XZ_PRESET = 3
_GZIP_LEVEL = 6
_ZSTD_LEVEL = 10
# Without a time and a name; by an unknown system.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_GZIP_END = b"\x03\x00"  # the last block of deflate, which is empty
_XZ_MAGIC, _XZ_FLAGS, _XZ_END = b"\xfd7zXZ\x00", b"\x00\x04", b"YZ"
_XZ_HEADER = _XZ_MAGIC + _XZ_FLAGS + struct.pack("<I", zlib.crc32(_XZ_FLAGS))
_XZ_FOOTER = 12  # bytes
_WORD = 4


class Compressor(Protocol):
    """Compresses a stream."""

    def compress(self, data: bytes, /) -> bytes:
        """Take bytes; returns what is ready."""
        ...

    def flush(self) -> bytes:
        """Return the rest."""
        ...


class _Deflate:
    """Ends at a byte, without the last block: another part can follow."""

    def __init__(self) -> None:
        self._object = zlib.compressobj(_GZIP_LEVEL, wbits=-zlib.MAX_WBITS)

    def compress(self, data: bytes, /) -> bytes:
        return self._object.compress(data)

    def flush(self) -> bytes:
        return self._object.flush(zlib.Z_FULL_FLUSH)


def _open_compressor(compression: IndexCompression) -> Compressor:
    """Return a compressor of one part; no parts of it refer to another part."""
    match compression:
        case IndexCompression.GZIP:
            return _Deflate()
        case IndexCompression.XZ:
            return lzma.LZMACompressor(check=lzma.CHECK_CRC64, preset=_XZ_PRESET)
        case IndexCompression.ZSTD:
            return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()


def compress_part(texts: Iterable[bytes], compression: IndexCompression) -> bytes:
    """Compress one part, without holding its text."""
    return compress_with(_open_compressor(compression), texts)


def compress_with(compressor: Compressor, texts: Iterable[bytes]) -> bytes:
    """Compress texts as one, without holding them."""
    blocks = [compressor.compress(text) for text in texts]
    return b"".join([*blocks, compressor.flush()])


class Joiner(Protocol):
    """Joins parts of one compression to a file."""

    def begin(self) -> bytes:
        """Return the first bytes of the file."""
        ...

    def add(self, part: bytes) -> bytes:
        """Return the bytes of the next part."""
        ...

    def end(self, crc32: int, size: int) -> bytes:
        """Return the last bytes, by the checksum and size of the whole text."""
        ...


class _GzipJoiner:
    def begin(self) -> bytes:
        return _GZIP_HEADER

    def add(self, part: bytes) -> bytes:
        return part

    def end(self, crc32: int, size: int) -> bytes:
        return _GZIP_END + struct.pack("<II", crc32, size & 0xFFFFFFFF)


class _XzJoiner:
    def __init__(self) -> None:
        self._records: list[tuple[int, int]] = []

    def begin(self) -> bytes:
        return _XZ_HEADER

    def add(self, part: bytes) -> bytes:
        """Return the blocks of a part, which is a stream of its own."""
        (backward,) = struct.unpack_from("<I", part, len(part) - 8)
        start = len(part) - _XZ_FOOTER - (backward + 1) * _WORD
        numbers = _read_numbers(part, start + 1)  # after the indicator of the index
        for _ in range(next(numbers)):
            self._records.append((next(numbers), next(numbers)))
        return part[len(_XZ_HEADER) : start]

    def end(self, crc32: int, size: int) -> bytes:  # noqa: ARG002 - each block has its own
        numbers = [len(self._records), *(n for record in self._records for n in record)]
        index = b"\x00" + b"".join(map(_number, numbers))
        index += bytes(-len(index) % _WORD)
        index += struct.pack("<I", zlib.crc32(index))
        footer = struct.pack("<I", len(index) // _WORD - 1) + _XZ_FLAGS
        return index + struct.pack("<I", zlib.crc32(footer)) + footer + _XZ_END


class _ZstdJoiner:
    def __init__(self) -> None:
        self._is_empty = True

    def begin(self) -> bytes:
        return b""

    def add(self, part: bytes) -> bytes:
        self._is_empty = False
        return part

    def end(self, crc32: int, size: int) -> bytes:  # noqa: ARG002 - each frame has its own
        return compress_part([], IndexCompression.ZSTD) if self._is_empty else b""


def open_joiner(compression: IndexCompression) -> Joiner:
    """Return a joiner of parts that :func:`compress_part` made."""
    joiners: dict[IndexCompression, type[Joiner]] = {
        IndexCompression.GZIP: _GzipJoiner,
        IndexCompression.XZ: _XzJoiner,
        IndexCompression.ZSTD: _ZstdJoiner,
    }
    return joiners[compression]()


def _number(value: int) -> bytes:
    """Return a number as xz writes it: seven bits a byte, the lowest first."""
    found = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _read_numbers(data: bytes, at: int) -> Iterator[int]:
    while True:
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        yield value
