"""The nouns of a bundle. No I/O here.

A bundle is a shell script, a signed manifest, and a tar of this tree::

    SHA256SUMS                    of every other file
    keys/, dists/, rpm/, pool/    a repository of the chosen packages
    setup/                        the sources that name it on a host
    images/                       images for docker load
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from builder.base.errors import UsageError
from builder.base.model import Arch, PackageFormat
from builder.repo.model import RepoPackage

SUMS = "SHA256SUMS"
IMAGES = PurePosixPath("images")
SETUP = PurePosixPath("setup")
# Where an installed bundle lies on a host; target/bundle.sh has it, too.
STATE = PurePosixPath("/var/lib/backendai-bundle")
SUFFIX = ".bundle"
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(MB|GB|MiB|GiB)")
_UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
_SMALLEST = 10**6
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*")


@dataclass(frozen=True, kw_only=True)
class BundleRequest:
    """The bundle that is asked for."""

    channel: str
    words: tuple[str, ...]  # NAME or NAME=VERSION
    arch: Arch
    formats: tuple[PackageFormat, ...]
    images: tuple[str, ...] = ()  # files, or names of the local engine
    suites: tuple[str, ...] = ()  # of Debian, whose dependencies come along
    name: str | None = None
    split: int | None = None  # bytes of a part
    out: Path = field(default_factory=Path)


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that is in a bundle."""

    name: str  # with its tag
    path: PurePosixPath  # in the tree
    size: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """A piece of the payload; a bundle that is not split has one."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle, made or planned."""

    id: str
    file: Path
    packages: tuple[RepoPackage, ...]
    dependencies: Mapping[str, int]  # files of a distribution, by suite
    images: tuple[Image, ...]
    unpacked: int  # bytes
    parts: tuple[Part, ...] = ()  # beside the file; none if it is whole
    size: int = 0  # of all files; 0 if it is planned
    fingerprint: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the bundle for JSON."""
        return {
            "bundle": self.id,
            "file": str(self.file),
            "bytes": self.size,
            "unpacked-bytes": self.unpacked,
            "fingerprint": self.fingerprint,
            "packages": [
                {"format": p.fmt.value, "name": p.name, "version": p.version, "bytes": p.size}
                for p in self.packages
            ],
            "dependencies": dict(self.dependencies),
            "images": [{"name": image.name, "bytes": image.size} for image in self.images],
            "parts": [{"file": p.name, "bytes": p.size, "sha256": p.sha256} for p in self.parts],
        }


def bundle_id(name: str, version: str, arch: Arch) -> str:
    """Return NAME-VERSION-ARCH; raises UsageError if that can be no file's name."""
    text = f"{name}-{version.partition(':')[2] or version}-{arch}"
    if not _ID.fullmatch(text):
        raise UsageError(
            f"a bundle cannot be called '{text}'",
            hint="give --name letters, digits, dots, pluses, tildes, dashes and underscores",
        )
    return text


def parse_size(text: str) -> int:
    """Return the bytes of a size such as 4GB or 650MiB; raises UsageError."""
    found = _SIZE.fullmatch(text.strip())
    size = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size < _SMALLEST:
        raise UsageError(
            f"'{text}' is no size of a part", hint="such as 4GB, 650MB or 4.7GB; at least 1MB"
        )
    return size
