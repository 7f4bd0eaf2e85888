"""The nouns of a repository, its layout, and the protocols of its parts. No I/O here.

The published tree::

    dists/CHANNEL/…                                   apt's indexes
    rpm/CHANNEL/COMPONENT/MACHINE/repodata/…          dnf's and zypper's indexes
    pool/COMPONENT/N/NAME/FILE                        packages of both formats
    pool/COMPONENT/N/NAME/FILE.*.json                 their provenance and SBOMs
    keys/NAME.asc, keys/NAME.gpg                      the public keys
    index.html, …                                     for people

The repository's own folder holds ``repo.toml``, ``public/`` (the tree above) and
``.state/`` (a record of its packages, so that none is ever read twice).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar, Protocol

from builder.base.errors import RepoError
from builder.base.model import Arch, PackageFormat
from builder.inspect.identity import Identity

PUBLIC = "public"
STATE = ".state"
POOL = PurePosixPath("pool")
KEYS = PurePosixPath("keys")
LOCAL = "local"  # the target that is the repository's own public/ folder

Index = dict[PurePosixPath, bytes]
# The listing of the package with this sha256: see ParsedPackage.
Listings = Callable[[str], bytes]
# What lies at a place of the tree now, if it was published and is needed still.
Former = Callable[[PurePosixPath], bytes | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class DebRecord:
    """The record of a deb in apt's indexes."""

    fmt: ClassVar[PackageFormat] = PackageFormat.DEB
    control: str  # its control paragraph, as it stands in Packages


@dataclass(frozen=True, kw_only=True, slots=True)
class RpmRecord:
    """The record of an rpm in the indexes for dnf and zypper: fragments of XML."""

    fmt: ClassVar[PackageFormat] = PackageFormat.RPM
    primary: str
    other: str


IndexRecord = DebRecord | RpmRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class RepoPackage:
    """A package that the repository holds, and its record in the indexes."""

    name: str
    version: str  # with epoch and revision
    arch: str  # by the format's own name: all, amd64; noarch, x86_64
    component: str
    file: str  # its name, without folders
    pool: PurePosixPath  # below the published tree
    sha256: str
    size: int
    added: datetime
    record: IndexRecord = field(compare=False, repr=False)  # the hash stands for it

    @property
    def fmt(self) -> PackageFormat:
        """The package's format."""
        return self.record.fmt

    @property
    def is_native(self) -> bool:
        """Whether it is for one architecture alone."""
        return self.arch != self.fmt.arch_name(None)

    def fits(self, arch: Arch) -> bool:
        """Return whether a host of this architecture can install it."""
        return not self.is_native or self.arch == self.fmt.arch_name(arch)

    @property
    def label(self) -> str:
        """The package as messages name it."""
        return f"{self.name} {self.version} ({self.fmt}, {self.arch})"


@dataclass(frozen=True, kw_only=True)
class ParsedPackage:
    """The facts that are read out of a package file, once, when it is added.

    ``listing`` may be large, and only some indexes need it: the paths of a deb, one a line,
    without the first slash, or an rpm's fragment of filelists.xml. The state keeps it
    compressed, and loads the listing of one package at a time.
    """

    name: str
    version: str
    arch: str
    record: IndexRecord
    listing: bytes
    sbom: Mapping[str, Any] | None = None  # the document within it

    @property
    def fmt(self) -> PackageFormat:
        """The package's format."""
        return self.record.fmt

    @property
    def identity(self) -> Identity:
        """The package's identity; raises PayloadError if its format does not allow it."""
        return Identity(fmt=self.fmt, name=self.name, version=self.version, arch=self.arch)


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How many hosts get a version by an upgrade, and which versions a host gets together.

    apt draws by the name and version of the source package and the host's machine id.
    """

    percent: int
    source: str  # NAME (VERSION), the same for all packages that were promoted together


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """The hash and the size of a published file."""

    sha256: str
    size: int


class Publisher(Protocol):
    """A place that a tree is published to. Paths are below its root."""

    def list(self) -> Iterator[tuple[PurePosixPath, int]]:
        """Yield every file with its size."""
        ...

    def has(self, path: PurePosixPath, facts: FileFacts) -> bool:
        """Return whether the place has this very file, as far as that can be detected cheaply."""
        ...

    def put(self, path: PurePosixPath, source: Path, facts: FileFacts) -> None:
        """Place a file; a reader sees the old one or the new one, never a part.

        Raises RepoError if the file that arrived does not match ``facts``.
        """
        ...

    def open(self, path: PurePosixPath) -> BinaryIO:
        """Open a file to read it; raises RepoError if it does not exist."""
        ...

    def delete(self, paths: Iterable[PurePosixPath]) -> None:
        """Remove files; an absent file is no error."""
        ...


def pool_path(component: str, identity: Identity) -> PurePosixPath:
    """Return the place of a package in the tree, by Debian's own scheme.

    No two packages share a place: file names lack the version's epoch, so the epoch is a
    folder. The name of the given file does not matter.
    """
    name = identity.name
    letter = name[:4] if name.startswith("lib") and len(name) > len("lib") else name[:1]
    folder = POOL / component / letter / name
    if identity.epoch:
        folder /= f"epoch-{identity.epoch}"
    return folder / identity.file_name


def check_place(path: PurePosixPath) -> PurePosixPath:
    """Return ``path`` if it lies below a target's root; raises RepoError otherwise."""
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in str(path):
        raise RepoError(
            f"{str(path)!r} is no place in a published tree",
            hint="the repository's state names it: restore .state from a backup, "
            "or remove that package from the repository",
        )
    return path


def dists_folder(channel: str) -> PurePosixPath:
    """Return the folder of a channel's apt indexes."""
    return PurePosixPath("dists") / channel


def archive_root(folder: PurePosixPath) -> PurePosixPath:
    """Return the folder that the addresses of packages begin at, by the folder of a Release."""
    return PurePosixPath(str(folder).partition("dists/")[0] or ".")


def rpm_folder(channel: str, component: str, arch: Arch) -> PurePosixPath:
    """Return the folder that dnf's baseurl names; ``repodata/`` lies in it."""
    return PurePosixPath("rpm") / channel / component / arch.machine
