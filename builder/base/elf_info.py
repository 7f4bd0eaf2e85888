"""What an ELF file tells the loader, and which glibc that takes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

GlibcVersion = tuple[int, ...]

# Since 2.36 the linker may pack relative relocations, which older loaders misread.
_PACKED_RELOCATIONS = "GLIBC_ABI_DT_RELR"
_PACKED_SINCE: GlibcVersion = (2, 36)
_GLIBC_VERSION = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, kw_only=True)
class ElfInfo:
    """The facts by which the loader finds the libraries of one program or shared library."""

    machine: str  # as pyelftools spells it: EM_X86_64
    bits: int  # 32 or 64
    soname: str | None
    needed: tuple[str, ...]  # sonames, in the loader's order
    runpath: tuple[str, ...]  # RUNPATH, or RPATH if there is none
    interpreter: str | None  # set for programs
    dynamic: bool  # False for a static program
    versions: dict[str, tuple[str, ...]]  # soname to the symbol versions needed of it

    @property
    def glibc(self) -> GlibcVersion | None:
        """The highest GLIBC_x.y needed, or None if glibc is not needed.

        GLIBC_PRIVATE is no version and does not count.
        """
        names = {name for names in self.versions.values() for name in names}
        return max(filter(None, map(_glibc_version, names)), default=None)


def _glibc_version(name: str) -> GlibcVersion | None:
    if name == _PACKED_RELOCATIONS:
        return _PACKED_SINCE
    match = _GLIBC_VERSION.fullmatch(name)
    return tuple(int(part) for part in match.groups() if part) if match else None


def highest_glibc(files: Iterator[ElfInfo]) -> str:
    """Return the highest glibc that ``files`` need, as text; "" if none needs any."""
    highest = max((info.glibc for info in files if info.glibc), default=())
    return ".".join(str(part) for part in highest)
