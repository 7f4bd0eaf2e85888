"""Reads ELF files: the needs of a program or library, with versions.

No other program is called. All facts come from the dynamic segment, which the loader
reads, too; section headers may be stripped.
"""

import errno
import os
import struct
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from builder.base.elf_info import ElfInfo
from builder.base.lazy import LazyModule

if TYPE_CHECKING:
    from builder.base import elf_reader
else:
    elf_reader = LazyModule("builder.base.elf_reader")

_MAGIC = b"\x7fELF"
# The begin of the header: magic, class, byte order, 10 more bytes, type, machine.
_HEADER = struct.Struct("<4sxB10xHH")
_LITTLE_ENDIAN = 1
_LOADABLE = (2, 3)  # ET_EXEC, ET_DYN
_MACHINES = {0x3E: "EM_X86_64", 0xB7: "EM_AARCH64"}


def read_elf(path: Path) -> ElfInfo | None:
    """Read a program or shared library.

    Returns None for a file that no loader accepts: another kind of file, an object file,
    a core, a damaged ELF file (wheels have such files as test data).
    """
    with path.open("rb") as stream:
        if stream.read(4) != _MAGIC:
            return None
        return elf_reader.read_stream(stream)


def read_machine(path: Path) -> str | None:
    """Read from its header alone what a program or shared library runs on.

    Returns None for any other file, and for a machine that no package is made for.
    """
    with path.open("rb") as stream:
        header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    magic, order, kind, machine = _HEADER.unpack(header)
    if magic != _MAGIC or order != _LITTLE_ENDIAN or kind not in _LOADABLE:
        return None
    return _MACHINES.get(machine)


def scan_tree(root: Path) -> list[tuple[PurePosixPath, ElfInfo]]:
    """Read every program and shared library below ``root``, sorted by relative path.

    Symbolic links are not followed.
    """
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            # Plain strings: a tree has 20,000 files, and a few hundred of them are ELF.
            text = os.path.join(folder, name)  # noqa: PTH118
            if not _has_magic(text):
                continue
            path = Path(text)
            info = read_elf(path)
            if info is not None:
                found.append((PurePosixPath(path.relative_to(root)), info))
    return sorted(found, key=lambda entry: entry[0])


def _has_magic(path: str) -> bool:
    """Return whether this is a regular file, not a link, that begins as ELF files do."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket or a pipe
            return False
        raise
    try:
        return os.read(descriptor, len(_MAGIC)) == _MAGIC
    finally:
        os.close(descriptor)
