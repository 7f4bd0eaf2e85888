"""Writes small ELF files, so that no test needs a compiler."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MACHINES = {"EM_X86_64": 62, "EM_AARCH64": 183}
TYPES = {"ET_REL": 1, "ET_EXEC": 2, "ET_DYN": 3, "ET_CORE": 4}

_LOAD, _DYNAMIC, _INTERP = 1, 2, 3
_NULL, _NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 0, 1, 5, 10, 14, 15, 29
_VERNEED, _VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_HEADERS = 0x40 + 3 * 0x38


@dataclass(frozen=True, kw_only=True)
class Elf:
    """What the file is to say; addresses in it are file offsets."""

    machine: str = "EM_X86_64"
    kind: str = "ET_DYN"
    soname: str = ""
    needed: Sequence[str] = ()
    rpath: str = ""
    runpath: str = ""
    interpreter: str = ""
    versions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dynamic: bool = True

    def write(self) -> bytes:
        """The file's bytes: headers, strings, version needs, dynamic segment."""
        strings = _Strings()
        texts = [(_NEEDED, name) for name in self.needed]
        optional = ((_SONAME, self.soname), (_RPATH, self.rpath), (_RUNPATH, self.runpath))
        texts += [(tag, text) for tag, text in optional if text]
        tags = [(tag, strings.add(text)) for tag, text in texts]
        versions = self._versions(strings)
        interpreter = strings.add(self.interpreter)
        table = bytes(strings.data)
        versions_at = _HEADERS + len(table)
        dynamic_at = versions_at + len(versions)
        tags += [(_STRTAB, _HEADERS), (_STRSZ, len(table))]
        if self.versions:
            tags += [(_VERNEED, versions_at), (_VERNEEDNUM, len(self.versions))]
        dynamic = b"".join(struct.pack("<QQ", *tag) for tag in [*tags, (_NULL, 0)])
        size = dynamic_at + len(dynamic)
        headers = [_program_header(_LOAD, 0, size)]
        if self.dynamic:
            headers.append(_program_header(_DYNAMIC, dynamic_at, len(dynamic)))
        if self.interpreter:
            length = len(self.interpreter) + 1
            headers.append(_program_header(_INTERP, _HEADERS + interpreter, length))
        head = self._header(len(headers)) + b"".join(headers)
        return head.ljust(_HEADERS, b"\0") + table + versions + dynamic

    def _header(self, segments: int) -> bytes:
        identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
        kind, machine = TYPES[self.kind], MACHINES[self.machine]
        sizes = (0x40, 0x38, segments, 0x40, 0, 0)
        return identity + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, 0x40, 0, 0, *sizes)

    def _versions(self, strings: "_Strings") -> bytes:
        needs = b""
        for index, (library, names) in enumerate(self.versions.items()):
            last = index == len(self.versions) - 1
            following = 0 if last else 16 * (len(names) + 1)
            needs += struct.pack("<HHIII", 1, len(names), strings.add(library), 16, following)
            for number, name in enumerate(names):
                step = 0 if number == len(names) - 1 else 16
                needs += struct.pack("<IHHII", 0, 0, 2, strings.add(name), step)
        return needs


class _Strings:
    def __init__(self) -> None:
        self.data = bytearray(b"\0")

    def add(self, text: str) -> int:
        offset = len(self.data)
        self.data += text.encode() + b"\0"
        return offset


def _program_header(kind: int, offset: int, size: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, 5, offset, offset, offset, size, size, 0x1000)
