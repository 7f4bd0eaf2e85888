"""Reads a tar forwards: its compression detected, its headers strict and bounded."""

import gzip
import io
import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

import zstandard

from builder.base.errors import PayloadError

CHUNK = 1 << 20
# The limit for the headers of one member: room for a long name or a pax record.
_MAX_HEADERS = 4 << 20
_MAX_ZSTD_WINDOW = 1 << 27


class _StrictInfo(tarfile.TarInfo):
    """A header that fails if it is damaged, where tarfile would see the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # typeshed lacks it
            raise  # the zero block that ends every tar
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


class BoundedReader(io.RawIOBase):
    """Reads ``source``, but never more than is allowed.

    tarfile holds long names and pax records in memory, whatever length they claim.
    """

    def __init__(self, source: BinaryIO) -> None:
        super().__init__()
        self.source = source
        self.left = 0

    def allow(self, amount: int) -> None:
        self.left = amount

    def read(self, size: int = -1, /) -> bytes:
        data = self.source.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise tarfile.ReadError("a header is longer than any name needs")
        return data


def read_members(tar: tarfile.TarFile, stream: BoundedReader) -> Iterator[tarfile.TarInfo]:
    while True:
        stream.allow(_MAX_HEADERS)
        member = tar.next()
        if member is None:
            return
        yield member


@contextmanager
def open_stream(archive: Path) -> Iterator[BoundedReader]:
    """Open the tar inside the compression, which is detected by its first bytes."""
    try:
        file = archive.open("rb")
    except OSError as error:
        raise PayloadError(f"{archive}: cannot be read: {error.strerror}") from error
    with file:
        magic = file.read(6)
        file.seek(0)
        yield BoundedReader(_decompressed(file, magic))


def _decompressed(file: BinaryIO, magic: bytes) -> BinaryIO:
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if magic.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(file)  # type: ignore[return-value]
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW)
        return decompressor.stream_reader(file, read_across_frames=True)
    return file


def open_tar(stream: BoundedReader) -> tarfile.TarFile:
    stream.allow(_MAX_HEADERS)
    return tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK, tarinfo=_StrictInfo)
