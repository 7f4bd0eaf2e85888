"""Reads a deb: an ar archive of control.tar and data.tar (deb(5))."""

import itertools
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from builder.base.model import PackageFormat
from builder.inspect.deb822 import SPACE, decode, split_control
from builder.inspect.model import (
    Contents,
    FileEntry,
    Metadata,
    Relation,
    Script,
    Wanted,
    absolute,
    keep_file,
)
from builder.inspect.streams import DamagedError, ForwardReader, decompress, sections

MAGIC = b"!<arch>\n"
_HEADER = 60
_COMPRESSIONS = {"": "none", ".gz": "gzip", ".xz": "xz", ".zst": "zstd", ".bz2": "bzip2"}
_COMPRESSIONS[".lzma"] = "lzma"
_SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config")
_KIB = 1024
_SIZE = re.compile(r"[0-9]{1,15}")
_TYPES = {
    tarfile.DIRTYPE: 0o040000,
    tarfile.SYMTYPE: 0o120000,
    tarfile.CHRTYPE: 0o020000,
    tarfile.BLKTYPE: 0o060000,
    tarfile.FIFOTYPE: 0o010000,
}
_REGULAR = 0o100000
# A damaged header makes tarfile fail in any of these ways.
_TAR_FAULTS = (tarfile.TarError, EOFError, ValueError, OverflowError, IndexError, KeyError)


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member of an ar archive, and the place of its content."""

    name: str
    start: int
    size: int


def read_deb(path: Path, wanted: Wanted) -> Contents:
    """Read the deb at ``path``, and keep the content of files that are ``wanted``."""
    with path.open("rb") as file:
        members = list(ar_members(file, path.stat().st_size))
        if not members or members[0].name != "debian-binary":
            raise DamagedError("it is an ar archive without the member debian-binary: no deb")
        version = b"".join(sections(file, members[0].start, members[0].size))
        if not version.startswith(b"2."):
            raise DamagedError(f"its format version is {version[:20]!r}, not 2.0")
        control, _ = _find(members, "control.tar")
        data, compression = _find(members, "data.tar")
        parts: dict[str, bytes] = {}
        for _ in _entries(file, control, lambda path: path.count("/") == 1, parts):
            pass
        kept: dict[str, bytes] = {}
        files = tuple(_entries(file, data, wanted, kept))
    return _contents(parts, compression, files, kept)


def read_deb_file(path: Path, wanted: str) -> bytes:
    """Return the content of one file of a deb, which is read up to that file alone.

    Raises DamagedError if the deb has none there.
    """
    kept: dict[str, bytes] = {}
    with path.open("rb") as file:
        data, _ = _find(list(ar_members(file, path.stat().st_size)), "data.tar")
        for _ in _entries(file, data, lambda name: name == wanted, kept):
            if kept:
                break
    if wanted not in kept:
        raise DamagedError(f"it has no {wanted}")
    return kept[wanted]


def ar_members(file: BinaryIO, length: int) -> Iterator[Member]:
    """Yield the members of an ar archive of ``length`` bytes; raises if it is damaged."""
    position = len(MAGIC)
    while position < length:
        file.seek(position)
        header = file.read(_HEADER)
        if len(header) < _HEADER:
            raise DamagedError("it ends within the header of an ar member")
        size_text = header[48:58].strip()
        if header[58:] != b"`\n" or not size_text.isdigit():
            raise DamagedError(f"no ar member begins at byte {position}, where one should")
        name = header[:16].decode("ascii", "replace").rstrip().rstrip("/")
        size = int(size_text)
        start = position + _HEADER
        if start + size > length:
            missing = start + size - length
            raise DamagedError(f"it is cut off: {name} lacks its last {missing} bytes")
        yield Member(name=name, start=start, size=size)
        position = start + size + size % 2


def _find(members: list[Member], stem: str) -> tuple[Member, str]:
    for member in members:
        if member.name.startswith(stem):
            suffix = member.name.removeprefix(stem)
            if suffix not in _COMPRESSIONS:
                raise DamagedError(f"{member.name} is compressed in a way that is unknown")
            return member, _COMPRESSIONS[suffix]
    raise DamagedError(f"it has no {stem}")


def _entries(
    file: BinaryIO, member: Member, wanted: Wanted, kept: dict[str, bytes]
) -> Iterator[FileEntry]:
    """Yield the entries of a tar member, read to its last byte so that damage is detected."""
    suffix = member.name[member.name.index(".tar") + len(".tar") :]
    blocks = decompress(sections(file, member.start, member.size), _COMPRESSIONS[suffix])
    reader = ForwardReader(blocks)
    try:
        # Forwards only: enough to iterate and read in order.
        with tarfile.TarFile(fileobj=cast("IO[bytes]", reader), mode="r", encoding="utf-8") as tar:
            for info in tar:
                path = absolute(info.name)
                if path != "/":
                    yield _entry(path, info)
                if info.isreg() and wanted(path):
                    content = tar.extractfile(info)
                    if content is not None:
                        keep_file(kept, path, info.size, content)
            _check_end(reader, member.name)
    except _TAR_FAULTS as error:
        raise DamagedError(f"{member.name} is damaged ({error})") from error


def _check_end(reader: ForwardReader, name: str) -> None:
    # tarfile takes a damaged header for the end: a real end is zeros only.
    blocks = [reader.last] if reader.last else [b"no end at all"]
    if any(block.strip(b"\0") for block in itertools.chain(blocks, reader.drain())):
        raise DamagedError(f"{name} is damaged: it does not end as a tar archive does")


def _entry(path: str, info: tarfile.TarInfo) -> FileEntry:
    return FileEntry(
        path=path,
        mode=_TYPES.get(info.type, _REGULAR) | info.mode & 0o7777,
        owner=info.uname or str(info.uid),
        group=info.gname or str(info.gid),
        size=info.size if info.isreg() else 0,
        link=info.linkname if info.issym() else "",
    )


def _contents(
    parts: dict[str, bytes], compression: str, files: tuple[FileEntry, ...], kept: dict[str, bytes]
) -> Contents:
    texts = {path[1:]: decode(content) for path, content in parts.items()}
    if "control" not in texts:
        raise DamagedError("its control.tar has no control file")
    fields = {field.key: field.value for field in split_control(texts["control"])}
    for name in ("package", "version", "architecture"):
        if not fields.get(name):
            raise DamagedError(f"its control file has no field {name.title()}")
    return Contents(
        fmt=PackageFormat.DEB,
        compression=compression,
        metadata=_metadata(fields),
        relations={
            relation: _split_list(fields[relation.value])
            for relation in Relation
            if fields.get(relation.value)
        },
        scripts=tuple(_script(name, texts[name]) for name in _SCRIPTS if name in texts),
        conffiles=tuple(_lines(texts.get("conffiles", ""))),
        triggers=tuple(_lines(texts.get("triggers", ""))),
        files=files,
        kept=kept,
        control=texts["control"],
    )


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a list of dpkg's, without blank lines and comments."""
    for line in text.split("\n"):
        stripped = line.strip(SPACE)
        if stripped and not stripped.startswith("#"):
            yield stripped


def _metadata(fields: dict[str, str]) -> Metadata:
    summary, _, description = fields.get("description", "").partition("\n")
    kib = fields.get("installed-size", "0")
    return Metadata(
        name=fields["package"],
        version=fields["version"],
        arch=fields["architecture"],
        summary=summary,
        description=description,
        licence=fields.get("license", ""),
        maintainer=fields.get("maintainer", ""),
        vendor=fields.get("vendor", ""),
        homepage=fields.get("homepage", ""),
        section=fields.get("section", ""),
        installed_size=int(kib) * _KIB if _SIZE.fullmatch(kib) else 0,
    )


def _split_list(value: str) -> tuple[str, ...]:
    return tuple(filter(None, (word.strip(SPACE) for word in value.replace("\n", " ").split(","))))


def _script(name: str, text: str) -> Script:
    first = text.split("\n", 1)[0]
    interpreter = first.removeprefix("#!").strip(SPACE) if first.startswith("#!") else ""
    return Script(name=name, interpreter=interpreter, text=text)
