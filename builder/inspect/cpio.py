"""Walks the cpio archive in an rpm: "new ASCII", and rpm's own form without metadata."""

from collections.abc import Iterator, Sequence

from builder.inspect.model import FileEntry, absolute
from builder.inspect.streams import DamagedError, ForwardReader

_NEWC = (b"070701", b"070702")
# The form for files larger than 4 GB: the entry has only the file's index.
_STRIPPED = b"07070X"
_FIELDS = 13
_SIZE, _NAME_SIZE = 6, 11
_TRAILER = "TRAILER!!!"
_NAME_LIMIT = 4096
_REGULAR = 0o100000
_TYPE = 0o170000


def cpio_files(reader: ForwardReader, files: Sequence[FileEntry]) -> Iterator[tuple[str, int]]:
    """Yield path and size of each file of the archive, with ``reader`` at its content.

    ``files`` are the header's files, to which the stripped form refers. The caller may
    read the content or leave it.
    """
    while True:
        magic = reader.read_exactly(6)
        if magic in _NEWC:
            name, size = _newc(reader)
            if name == _TRAILER:
                return
            path = absolute(name)
        elif magic == _STRIPPED:
            path, size = _stripped(reader, files)
        else:
            raise DamagedError(f"its cpio archive is damaged: {magic!r} where an entry begins")
        start = reader.tell()
        yield path, size
        end = start + size
        if reader.seek(_aligned(end)) < end:
            raise DamagedError(f"its payload ends within {path}")


def _newc(reader: ForwardReader) -> tuple[str, int]:
    fields = [_hex(reader.read_exactly(8)) for _ in range(_FIELDS)]
    length = fields[_NAME_SIZE]
    if not 0 < length <= _NAME_LIMIT:
        raise DamagedError(f"its cpio archive has a name of {length} bytes")
    name = reader.read_exactly(length).rstrip(b"\0").decode("utf-8", "surrogateescape")
    reader.seek(_aligned(reader.tell()))
    return name, fields[_SIZE]


def _stripped(reader: ForwardReader, files: Sequence[FileEntry]) -> tuple[str, int]:
    index = _hex(reader.read_exactly(8))
    if index >= len(files):
        raise DamagedError(f"its cpio archive names file {index} of {len(files)}")
    reader.seek(_aligned(reader.tell()))
    file = files[index]
    # Folders and such have a size in the header and no content here; links have both.
    has_content = file.mode & _TYPE in (_REGULAR, 0o120000)
    return file.path, file.size if has_content else 0


def _hex(digits: bytes) -> int:
    try:
        return int(digits, 16)
    except ValueError as error:
        raise DamagedError(f"its cpio archive is damaged: {digits!r} is no number") from error


def _aligned(position: int) -> int:
    return position + -position % 4
