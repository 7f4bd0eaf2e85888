"""The nouns of a repository, its layout, and what its parts may rely on. No I/O here.

The published tree::

    dists/CHANNEL/…                                   apt's indexes
    rpm/CHANNEL/COMPONENT/MACHINE/repodata/…          dnf's and zypper's indexes
    pool/COMPONENT/N/NAME/FILE                        packages of both formats
    keys/NAME.asc, keys/NAME.gpg                      the public keys
    index.html, …                                     for people

The repository's own folder holds ``repo.toml``, ``public/`` (the tree above) and
``.state/`` (what is in it, so that no package is ever read twice).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import ClassVar, Protocol

from builder.base.errors import RepoError
from builder.base.model import Arch, PackageFormat
from builder.inspect.identity import Identity
from builder.repo.config import RepoConfig

PUBLIC = "public"
STATE = ".state"
POOL = PurePosixPath("pool")
KEYS = PurePosixPath("keys")
LOCAL = "local"  # the target that is the repository's own public/ folder

Index = dict[PurePosixPath, bytes]
# The listing of the package with this sha256: see ParsedPackage.
Listings = Callable[[str], bytes]


@dataclass(frozen=True, kw_only=True)
class DebRecord:
    """What apt's indexes say of a deb."""

    fmt: ClassVar[PackageFormat] = PackageFormat.DEB
    control: str  # its control paragraph, as it stands in Packages


@dataclass(frozen=True, kw_only=True)
class RpmRecord:
    """What the indexes for dnf and zypper say of an rpm: fragments of XML."""

    fmt: ClassVar[PackageFormat] = PackageFormat.RPM
    primary: str
    other: str


IndexRecord = DebRecord | RpmRecord


@dataclass(frozen=True, kw_only=True)
class RepoPackage:
    """A package that the repository holds, and what its indexes say of the package."""

    name: str
    version: str  # with epoch and revision
    arch: str  # by the format's own name: all, amd64; noarch, x86_64
    component: str
    file: str  # its name, without folders
    pool: PurePosixPath  # below the published tree
    sha256: str
    size: int
    added: datetime
    record: IndexRecord

    @property
    def fmt(self) -> PackageFormat:
        """The package's format."""
        return self.record.fmt

    @property
    def is_native(self) -> bool:
        """Whether it is for one architecture alone."""
        return self.arch != self.fmt.arch_name(None)

    def fits(self, arch: Arch) -> bool:
        """Whether a host of this architecture can install it."""
        return not self.is_native or self.arch == self.fmt.arch_name(arch)

    @property
    def label(self) -> str:
        """The package as messages name it."""
        return f"{self.name} {self.version} ({self.fmt}, {self.arch})"


@dataclass(frozen=True, kw_only=True)
class ParsedPackage:
    """What is read, once, out of a package file when it is added.

    ``listing`` is what only some indexes need and what may be large: of a deb its paths,
    one a line, without the first slash; of an rpm its fragment of filelists.xml. The
    state keeps it compressed, and loads the listing of one package at a time.
    """

    name: str
    version: str
    arch: str
    record: IndexRecord
    listing: bytes

    @property
    def fmt(self) -> PackageFormat:
        """The package's format."""
        return self.record.fmt

    @property
    def identity(self) -> Identity:
        """Which package it is; raises PayloadError where its format does not allow that."""
        return Identity(fmt=self.fmt, name=self.name, version=self.version, arch=self.arch)


class Indexer(Protocol):
    """Makes the indexes of one format; constructed with the Listings that it may need."""

    def index(
        self, channel: str, packages: Sequence[RepoPackage], config: RepoConfig, now: datetime
    ) -> Index:
        """Every metadata file of a channel by its place in the tree, unsigned. Pure.

        ``packages`` are those of the indexer's own format, sorted by name, version and
        architecture. Same arguments, same bytes.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What is known of a published file."""

    sha256: str
    size: int


class Publisher(Protocol):
    """A place that a tree is published to. Paths are below its root."""

    def list(self) -> Mapping[PurePosixPath, int]:
        """Every file there with its size."""
        ...

    def has(self, path: PurePosixPath, facts: FileFacts) -> bool:
        """Whether the place has this very file, as far as that can be detected cheaply."""
        ...

    def put(self, path: PurePosixPath, source: Path, facts: FileFacts) -> None:
        """Place a file; a reader sees the old one or the new one, never a part.

        Raises RepoError where what arrived is not what ``facts`` say.
        """
        ...

    def get(self, path: PurePosixPath) -> bytes:
        """The content of a file; raises RepoError where there is none."""
        ...

    def delete(self, paths: Iterable[PurePosixPath]) -> None:
        """Remove files; those already gone are no error."""
        ...


def pool_path(component: str, identity: Identity) -> PurePosixPath:
    """Where a package lies in the tree; Debian's own scheme.

    No two packages have one place: a version's epoch is in no file's name, so it is a
    folder. What the given file was called has no part in it.
    """
    name = identity.name
    letter = name[:4] if name.startswith("lib") and len(name) > len("lib") else name[:1]
    folder = POOL / component / letter / name
    if identity.epoch:
        folder /= f"epoch-{identity.epoch}"
    return folder / identity.file_name


def check_place(path: PurePosixPath) -> PurePosixPath:
    """``path``, if it lies below a target's root; raises RepoError where it does not."""
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in str(path):
        raise RepoError(
            f"{str(path)!r} is no place in a published tree",
            hint="the repository's state names it: restore .state from a backup, "
            "or remove that package from the repository",
        )
    return path


def dists_folder(channel: str) -> PurePosixPath:
    """The folder of a channel's apt indexes."""
    return PurePosixPath("dists") / channel


def rpm_folder(channel: str, component: str, arch: Arch) -> PurePosixPath:
    """The folder that dnf's baseurl names; ``repodata/`` lies in it."""
    return PurePosixPath("rpm") / channel / component / arch.machine
