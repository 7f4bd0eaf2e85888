"""Reads an rpm: the facts in its header, and the wanted files of the payload."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from builder.base.model import PackageFormat
from builder.inspect.cpio import cpio_files
from builder.inspect.header import Header, Tag, read_headers
from builder.inspect.model import (
    Contents,
    FileEntry,
    Metadata,
    Relation,
    Script,
    Wanted,
    keep_file,
)
from builder.inspect.streams import DamagedError, ForwardReader, decompress, sections

# Name, flags and version of each kind of relation.
_RELATIONS = {
    Relation.DEPENDS: (1049, 1048, 1050),
    Relation.RECOMMENDS: (5046, 5048, 5047),
    Relation.SUGGESTS: (5049, 5051, 5050),
    Relation.SUPPLEMENTS: (5052, 5054, 5053),
    Relation.ENHANCES: (5055, 5057, 5056),
    Relation.CONFLICTS: (1054, 1053, 1055),
    Relation.OBSOLETES: (1090, 1114, 1115),
    Relation.PROVIDES: (1047, 1112, 1113),
}
# Text and interpreter of each scriptlet, in the order they run.
_SCRIPTS = {
    "pretrans": (1151, 1153),
    "pre": (1023, 1085),
    "post": (1024, 1086),
    "preun": (1025, 1087),
    "postun": (1026, 1088),
    "posttrans": (1152, 1154),
    "verify": (1079, 1091),
}
_LESS, _GREATER, _EQUAL = 2, 4, 8
_CONFIG = 1
_SHA256 = 8  # rpm numbers hashes as OpenPGP does


def read_rpm(path: Path, wanted: Wanted) -> Contents:
    """Read the rpm at ``path``, and keep the content of files that are ``wanted``."""
    with path.open("rb") as file:
        header, start = read_headers(file)
        compression = header.text(Tag.PAYLOAD_COMPRESSOR) or "gzip"
        files = _files(header)
        digest = _PayloadDigest(header)
        blocks = digest.watch(sections(file, start, path.stat().st_size - start))
        reader = ForwardReader(decompress(blocks, compression))
        kept: dict[str, bytes] = {}
        if header.text(Tag.PAYLOAD_FORMAT) in ("", "cpio"):
            for name, size in cpio_files(reader, files):
                if wanted(name):
                    keep_file(kept, name, size, reader)
        for _ in reader.drain():
            pass
        digest.check()
    return Contents(
        fmt=PackageFormat.RPM,
        compression=compression,
        metadata=_metadata(header),
        relations=_relations(header),
        scripts=tuple(_scripts(header)),
        conffiles=_conffiles(header, files),
        triggers=(),
        files=files,
        kept=kept,
    )


class _PayloadDigest:
    """Hashes the payload as it is read, and compares the hash with the header's."""

    def __init__(self, header: Header) -> None:
        known = header.number(Tag.PAYLOAD_DIGEST_ALGORITHM) == _SHA256
        self._stated = header.text(Tag.PAYLOAD_DIGEST) if known else ""
        self._hash = hashlib.sha256()

    def watch(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._hash.update(block)
            yield block

    def check(self) -> None:
        if self._stated and self._stated != self._hash.hexdigest():
            raise DamagedError("its payload does not have the sha256 that its header states")


def _metadata(header: Header) -> Metadata:
    name, version = header.text(Tag.NAME), header.text(Tag.VERSION)
    if not name or not version:
        raise DamagedError("its header has no name or no version")
    epoch = header.number(Tag.EPOCH)
    release = header.text(Tag.RELEASE)
    return Metadata(
        name=name,
        version=(f"{epoch}:" if epoch else "") + version + (f"-{release}" if release else ""),
        arch=header.text(Tag.ARCH),
        summary=header.text(Tag.SUMMARY),
        description=header.text(Tag.DESCRIPTION),
        licence=header.text(Tag.LICENCE),
        maintainer=header.text(Tag.PACKAGER),
        vendor=header.text(Tag.VENDOR),
        homepage=header.text(Tag.URL),
        section=header.text(Tag.GROUP),
        installed_size=header.number(Tag.LONG_SIZE, Tag.SIZE) or 0,
    )


def _relations(header: Header) -> dict[Relation, tuple[str, ...]]:
    found = {}
    for relation, (names, flags, versions) in _RELATIONS.items():
        rows = _rows(header.texts(names), header.numbers(flags), header.texts(versions))
        written = tuple(dict.fromkeys(rows))
        if written:
            found[relation] = written
    return found


def _rows(names: Sequence[str], flags: Sequence[int], versions: Sequence[str]) -> Iterator[str]:
    if not len(names) == len(flags) == len(versions):
        raise DamagedError("its header lists relations without their versions")
    for name, flag, version in zip(names, flags, versions, strict=True):
        signs = ((_LESS, "<"), (_GREATER, ">"), (_EQUAL, "="))
        sign = "".join(text for bit, text in signs if flag & bit)
        yield f"{name} {sign} {version}" if sign and version else name


def _scripts(header: Header) -> Iterator[Script]:
    for name, (text, interpreter) in _SCRIPTS.items():
        if header.texts(text):
            words = " ".join(header.texts(interpreter))
            yield Script(name=name, interpreter=words, text=header.text(text))


def _files(header: Header) -> tuple[FileEntry, ...]:
    names = header.texts(Tag.BASE_NAMES)
    folders = header.texts(Tag.DIR_NAMES)
    sizes = header.numbers(Tag.LONG_FILE_SIZES) or header.numbers(Tag.FILE_SIZES)
    columns = (
        header.numbers(Tag.DIR_INDEXES),
        header.numbers(Tag.FILE_MODES),
        header.texts(Tag.FILE_USERS),
        header.texts(Tag.FILE_GROUPS),
        sizes,
        header.texts(Tag.FILE_LINKS) or ("",) * len(names),
    )
    if any(len(column) != len(names) for column in columns):
        raise DamagedError("its header does not say all of every file")
    if any(index >= len(folders) for index in columns[0]):
        raise DamagedError("its header names a file in no folder")
    return tuple(
        FileEntry(
            path=folders[index] + name, mode=mode, owner=owner, group=group, size=size, link=link
        )
        for name, index, mode, owner, group, size, link in zip(names, *columns, strict=True)
    )


def _conffiles(header: Header, files: tuple[FileEntry, ...]) -> tuple[str, ...]:
    flags = header.numbers(Tag.FILE_FLAGS)
    return tuple(file.path for file, flag in zip(files, flags, strict=False) if flag & _CONFIG)
