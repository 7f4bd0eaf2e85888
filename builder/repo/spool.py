"""The files of a tree before they are published: on disk, hashed as they are written.

So the memory that a publication needs does not grow with its indexes.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.repo.model import FileFacts


@dataclass(frozen=True, kw_only=True)
class Digests:
    """The hashes and the size of some bytes."""

    sha256: str
    sha512: str
    size: int

    @property
    def facts(self) -> FileFacts:
        """What is recorded of a published file."""
        return FileFacts(sha256=self.sha256, size=self.size)

    def named(self, name: str) -> str:
        """Return the hash of this name: SHA256 or SHA512."""
        return {"SHA256": self.sha256, "SHA512": self.sha512}[name]


class Hasher:
    """Hashes bytes as they pass."""

    def __init__(self) -> None:
        self._sha256, self._sha512, self._size = hashlib.sha256(), hashlib.sha512(), 0

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        self._sha256.update(data)
        self._sha512.update(data)
        self._size += len(data)

    def digests(self) -> Digests:
        """Return what the bytes so far have."""
        return Digests(
            sha256=self._sha256.hexdigest(), sha512=self._sha512.hexdigest(), size=self._size
        )


def digests_of(data: bytes) -> Digests:
    """Return the hashes and the size of ``data``."""
    hasher = Hasher()
    hasher.update(data)
    return hasher.digests()


class Spool:
    """Files below a folder, by their places in the tree."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._digests: dict[PurePosixPath, Digests] = {}

    @property
    def files(self) -> Mapping[PurePosixPath, Digests]:
        """Every file that was written, with its hashes."""
        return self._digests

    def write(self, path: PurePosixPath, data: bytes) -> None:
        """Write a small file."""
        with self.stream(path) as write:
            write(data)

    def write_all(self, files: Mapping[PurePosixPath, bytes]) -> None:
        """Write small files."""
        for path, data in files.items():
            self.write(path, data)

    @contextmanager
    def stream(self, path: PurePosixPath) -> Iterator[Callable[[bytes], None]]:
        """Yield a function that writes the next bytes of a file."""
        place = self._place(path)
        hasher = Hasher()
        with place.open("wb") as file:

            def write(data: bytes) -> None:
                hasher.update(data)
                file.write(data)

            yield write
        self._digests[path] = hasher.digests()

    def rename(self, path: PurePosixPath, to: PurePosixPath) -> None:
        """Give a file its name once its hash is known."""
        self._place(path).replace(self._place(to))
        self._digests[to] = self._digests.pop(path)

    def link(self, path: PurePosixPath, to: PurePosixPath) -> None:
        """Have a file at a second place, too, without a copy."""
        place = self._place(to)
        place.unlink(missing_ok=True)
        os.link(self._place(path), place)
        self._digests[to] = self._digests[path]

    def read(self, path: PurePosixPath) -> bytes:
        """Return the content of a file."""
        return (self.root / path).read_bytes()

    def _place(self, path: PurePosixPath) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place
