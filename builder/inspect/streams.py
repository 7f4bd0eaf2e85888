"""Forward-only reading of package files: sections, decompression, bounded reads.

Only a block, and the expansion of one compressed block, are in memory at a time. Damage
of any kind is a :class:`DamagedError`.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

import zstandard

_BLOCK = 256 << 10
# Decompressed at once: zstd expands 4 bytes to 128 KB if all bytes are the same.
_FEED = 1 << 10
# The longest field of a package that is read at once.
_READ_LIMIT = 64 << 20
_XZ_MEMORY = 256 << 20


class DamagedError(Exception):
    """The bytes break the format; becomes a PayloadError that names the file."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


_OPENERS: dict[str, Callable[[], _Decompressor]] = {
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "xz": lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY),
    "lzma": lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY),
    "bzip2": bz2.BZ2Decompressor,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
_FAULTS = (zlib.error, lzma.LZMAError, OSError, EOFError, zstandard.ZstdError)


def sections(file: BinaryIO, start: int, size: int) -> Iterator[bytes]:
    """Yield the bytes of ``file`` from ``start``, in blocks; raises if the file is shorter."""
    file.seek(start)
    left = size
    while left:
        block = file.read(min(_BLOCK, left))
        if not block:
            raise DamagedError(f"it ends {left} bytes too early")
        left -= len(block)
        yield block


def decompress(blocks: Iterator[bytes], compression: str) -> Iterator[bytes]:
    """Decompress a stream of one or more frames; raises if the last one is cut off."""
    if compression == "none":
        yield from blocks
        return
    if compression not in _OPENERS:
        raise DamagedError(f"its payload is compressed with {compression!r}, which is unknown")
    machine = _OPENERS[compression]()
    fresh = True  # the decompressor has seen nothing yet
    for data in _slices(blocks):
        left = data
        while left:
            if machine.eof:
                machine, fresh = _OPENERS[compression](), True
            if fresh and not left.strip(b"\0"):  # padding after the last frame
                break
            try:
                plain = machine.decompress(left)
            except _FAULTS as error:
                raise DamagedError(f"its {compression} data is damaged ({error})") from error
            fresh = False
            left = machine.unused_data if machine.eof else b""
            if plain:
                yield plain
    if not machine.eof and not fresh:
        raise DamagedError(f"its {compression} data is cut off")


def _slices(blocks: Iterator[bytes]) -> Iterator[bytes]:
    for block in blocks:
        for start in range(0, len(block), _FEED):
            yield block[start : start + _FEED]


class ForwardReader:
    """A file over blocks that can be read and skipped, never rewound.

    It has the part of a file's interface that tarfile needs.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._buffer = memoryview(b"")
        self._position = 0
        self.last = b""  # the bytes of the last read

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end; a negative size is refused."""
        if not 0 <= size <= _READ_LIMIT:
            raise DamagedError(f"a field claims to be {size} bytes long")
        parts = []
        wanted = size
        while wanted and self._fill():
            part = self._buffer[:wanted]
            parts.append(part)
            self._advance(len(part))
            wanted -= len(part)
        self.last = b"".join(parts)
        return self.last

    def read_exactly(self, size: int) -> bytes:
        """Return ``size`` bytes; raises if there are fewer."""
        data = self.read(size)
        if len(data) != size:
            raise DamagedError(f"its payload ends {size - len(data)} bytes too early")
        return data

    def seek(self, position: int, whence: int = 0) -> int:
        """Skip to ``position``, which must lie ahead."""
        if whence != 0 or position < self._position:
            raise DamagedError("its payload points back into itself")
        while self._position < position and self._fill():
            self._advance(min(len(self._buffer), position - self._position))
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seekable(self) -> bool:
        """Return True: a seek forward works."""
        return True

    def drain(self) -> Iterator[bytes]:
        """Yield the rest, in blocks."""
        while self._fill():
            block = bytes(self._buffer[:_BLOCK])
            self._advance(len(block))
            yield block

    def _fill(self) -> bool:
        """Refill an empty buffer, and return whether it then holds any bytes."""
        if not self._buffer:
            self._buffer = memoryview(next(self._blocks, b""))
        return bool(self._buffer)

    def _advance(self, count: int) -> None:
        self._buffer = self._buffer[count:]
        self._position += count
