"""Makes small debs and rpms byte by byte, so that reading them needs no packer."""

import bz2
import gzip
import hashlib
import io
import lzma
import struct
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import zstandard

COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    "none": lambda data: data,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "zstd": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}
SUFFIX = {
    "none": "",
    "gzip": ".gz",
    "xz": ".xz",
    "lzma": ".lzma",
    "bzip2": ".bz2",
    "zstd": ".zst",
}
_INT16, _INT32, _STRING, _STRINGS, _I18N = 3, 4, 6, 8, 9

RpmValue = str | Sequence[str] | Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Payload:
    """One entry of a package to be made; ``content`` of a link is its target."""

    path: str
    content: bytes = b""
    mode: int = 0o100644
    owner: str = "root"
    group: str = "root"
    config: bool = False


@dataclass(frozen=True, kw_only=True)
class DebFile:
    """A deb to be made."""

    control: str
    payload: Sequence[Payload] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    compression: str = "zstd"

    def build(self) -> bytes:
        """Its bytes."""
        conffiles = "".join(f"{entry.path}\n" for entry in self.payload if entry.config)
        parts = {"control": self.control, "conffiles": conffiles, **self.scripts}
        control = make_tar(
            [Payload(path=f"/{name}", content=text.encode()) for name, text in parts.items()]
        )
        data = COMPRESS[self.compression](make_tar(self.payload))
        return make_ar(
            [
                ("debian-binary", b"2.0\n"),
                ("control.tar.gz", gzip.compress(control, mtime=0)),
                (f"data.tar{SUFFIX[self.compression]}", data),
            ]
        )


def make_ar(members: Sequence[tuple[str, bytes]]) -> bytes:
    """An ar archive."""
    parts = [b"!<arch>\n"]
    for name, content in members:
        header = f"{name:16}{0:<12}{0:<6}{0:<6}{'100644':8}{len(content):<10}`\n"
        parts += [header.encode(), content, b"\n" * (len(content) % 2)]
    return b"".join(parts)


def make_tar(payload: Sequence[Payload]) -> bytes:
    """A tar archive as dpkg has it, names with a leading dot."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for entry in payload:
            info = tarfile.TarInfo(f".{entry.path}")
            info.mode = entry.mode & 0o7777
            info.uname, info.gname = entry.owner, entry.group
            kind = entry.mode & 0o170000
            if kind == 0o040000:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif kind == 0o120000:
                info.type, info.linkname = tarfile.SYMTYPE, entry.content.decode()
                tar.addfile(info)
            else:
                info.size = len(entry.content)
                tar.addfile(info, io.BytesIO(entry.content))
    return file.getvalue()


@dataclass(frozen=True, kw_only=True)
class RpmFile:
    """An rpm to be made; ``extra`` adds or replaces tags of its header."""

    name: str
    version: str
    release: str = "1"
    payload: Sequence[Payload] = ()
    compression: str = "zstd"
    stripped: bool = False  # cpio entries without metadata
    digests: bool = True
    extra: Mapping[int, tuple[int, RpmValue]] = field(default_factory=dict)

    def build(self) -> bytes:
        """Its bytes."""
        cpio = make_cpio(self.payload, stripped=self.stripped)
        body = COMPRESS[self.compression](cpio)
        header = make_header({**self._tags(body), **self.extra})
        digest = hashlib.sha256(header).hexdigest()
        signature = make_header({273: (_STRING, digest)} if self.digests else {})
        # librpm insists on the kind of signature, 5, that the lead announces.
        lead = b"\xed\xab\xee\xdb\x03\x00" + bytes(72) + b"\x00\x05" + bytes(16)
        return lead + signature + bytes(-len(signature) % 8) + header + body

    def _tags(self, body: bytes) -> dict[int, tuple[int, RpmValue]]:
        folders = sorted({entry.path.rpartition("/")[0] + "/" for entry in self.payload})
        places = [folders.index(entry.path.rpartition("/")[0] + "/") for entry in self.payload]
        tags: dict[int, tuple[int, RpmValue]] = {
            1000: (_STRING, self.name),
            1001: (_STRING, self.version),
            1002: (_STRING, self.release),
            1004: (_I18N, ["a summary"]),
            1005: (_I18N, ["a description\nof two lines"]),
            1009: (_INT32, [sum(len(entry.content) for entry in self.payload)]),
            1014: (_STRING, "LGPL-3.0"),
            1022: (_STRING, "x86_64"),
            1125: (_STRING, self.compression),
        }
        if self.digests:
            tags[5092] = (_STRINGS, [hashlib.sha256(body).hexdigest()])
            tags[5093] = (_INT32, [8])
        if self.payload:
            tags |= {
                1028: (_INT32, [len(entry.content) for entry in self.payload]),
                1030: (_INT16, [entry.mode for entry in self.payload]),
                1036: (_STRINGS, [_link(entry) for entry in self.payload]),
                1037: (_INT32, [int(entry.config) for entry in self.payload]),
                1039: (_STRINGS, [entry.owner for entry in self.payload]),
                1040: (_STRINGS, [entry.group for entry in self.payload]),
                1116: (_INT32, places),
                1117: (_STRINGS, [entry.path.rpartition("/")[2] for entry in self.payload]),
                1118: (_STRINGS, folders),
            }
        return tags


def _link(entry: Payload) -> str:
    return entry.content.decode() if entry.mode & 0o170000 == 0o120000 else ""


def make_header(tags: Mapping[int, tuple[int, RpmValue]]) -> bytes:
    """The binary header of an rpm."""
    index, store = b"", b""
    for tag, (kind, value) in sorted(tags.items()):
        if kind in (_INT16, _INT32):
            size, letter = (2, "H") if kind == _INT16 else (4, "I")
            store += bytes(-len(store) % size)
            data = struct.pack(f">{len(value)}{letter}", *value)
            count = len(value)
        else:
            texts = [value] if isinstance(value, str) else [str(part) for part in value]
            data = b"".join(text.encode() + b"\0" for text in texts)
            count = len(texts)
        index += struct.pack(">IIII", tag, kind, len(store), count)
        store += data
    intro = b"\x8e\xad\xe8\x01\0\0\0\0" + struct.pack(">II", len(tags), len(store))
    return intro + index + store


def make_cpio(payload: Sequence[Payload], *, stripped: bool) -> bytes:
    """The payload as cpio, in the "new ASCII" form or rpm's stripped one."""
    archive = b""
    for index, entry in enumerate(payload):
        if stripped:
            archive += f"07070X{index:08X}".encode()
        else:
            archive += _newc(f".{entry.path}", entry.mode, len(entry.content))
        archive += bytes(-len(archive) % 4)
        archive += entry.content + bytes(-len(entry.content) % 4)
    archive += _newc("TRAILER!!!", 0, 0)
    return archive + bytes(-len(archive) % 4)


def _newc(name: str, mode: int, size: int) -> bytes:
    fields = [0, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name) + 1, 0]
    return b"070701" + "".join(f"{field:08X}" for field in fields).encode() + name.encode() + b"\0"
