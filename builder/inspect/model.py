"""The metadata and contents of a package: the same nouns for deb and rpm."""

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from builder.base.model import PackageFormat


class Relation(StrEnum):
    """A kind of relation to other packages; the value is its heading."""

    PRE_DEPENDS = "pre-depends"
    DEPENDS = "depends"
    RECOMMENDS = "recommends"
    SUGGESTS = "suggests"
    ENHANCES = "enhances"
    SUPPLEMENTS = "supplements"
    CONFLICTS = "conflicts"
    BREAKS = "breaks"
    REPLACES = "replaces"
    OBSOLETES = "obsoletes"
    PROVIDES = "provides"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEntry:
    """One file, folder or link of the payload."""

    path: str  # absolute
    mode: int  # with the type bits
    owner: str
    group: str
    size: int
    link: str = ""  # the target of a symlink

    @property
    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def listing_mode(self) -> str:
        """The mode as ``ls`` writes it."""
        return stat.filemode(self.mode)


@dataclass(frozen=True, kw_only=True)
class Script:
    """A maintainer script or scriptlet."""

    name: str
    interpreter: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """The package's fields."""

    name: str
    version: str  # with epoch and revision
    arch: str
    summary: str
    description: str
    licence: str
    maintainer: str
    vendor: str
    homepage: str
    section: str
    installed_size: int  # bytes, as the package states it


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All facts read out of one package file."""

    fmt: PackageFormat
    compression: str  # of the payload
    metadata: Metadata
    relations: Mapping[Relation, tuple[str, ...]]
    scripts: tuple[Script, ...]
    conffiles: tuple[str, ...]
    triggers: tuple[str, ...]
    files: tuple[FileEntry, ...]
    kept: Mapping[str, bytes] = field(default_factory=dict)  # path to content, where wanted
    control: str = ""  # a deb's control file, unchanged


Wanted = Callable[[str], bool]  # whether the content of the file at this path is kept

KEEP_LIMIT = 16 << 20  # bytes of one kept file


class Readable(Protocol):
    """A stream with the content of a file."""

    def read(self, size: int, /) -> bytes:
        """Return the next ``size`` bytes."""
        ...


def keep_file(kept: dict[str, bytes], path: str, size: int, stream: Readable) -> None:
    """Read a wanted file into ``kept``; a huge one is left alone."""
    if size <= KEEP_LIMIT:
        kept[path] = stream.read(size)


def absolute(path: str) -> str:
    """Return the path of a payload entry on the target, whatever its form in the archive."""
    stripped = path.removeprefix(".").strip("/")
    return f"/{stripped}"
