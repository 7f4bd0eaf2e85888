"""Publishes to a folder of this machine: every file appears by rename."""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from builder.base.errors import RepoError
from builder.base.files import PUBLIC_FILE, hash_file, make_public_folder, walk_files
from builder.base.storage import storage_guard
from builder.repo.model import FileFacts, check_place
from builder.repo.publish.claim import CLAIMS
from builder.repo.publish.source import check_source, lost, not_as_stated

_PART = ".part"
_CHUNK = 1 << 20


class FolderPublisher:
    """A folder; made if it does not exist."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def list(self) -> Iterator[tuple[PurePosixPath, int]]:
        """Yield every file with its size, except half-written files of killed runs."""
        for file in walk_files(self.root):
            path = PurePosixPath(Path(file.path).relative_to(self.root))
            is_part = file.name.startswith(".") and file.name.endswith(_PART)
            if not is_part and path.parent != CLAIMS:
                yield path, file.stat(follow_symlinks=False).st_size

    @property
    def _claims(self) -> Path:
        return self.root / CLAIMS

    def claims(self) -> Mapping[str, bytes]:
        """Return every claim of a publisher, by its name."""
        found = {}
        with storage_guard(self._claims):
            for path in self._claims.glob("*"):
                if path.suffix != _PART:
                    with suppress(FileNotFoundError):  # just withdrawn
                        found[path.name] = path.read_bytes()
        return found

    def claim(self, name: str, data: bytes) -> str:
        """Write a claim, which appears whole."""
        with storage_guard(self._claims):
            make_public_folder(self._claims)
            with _part_beside(self._claims / name) as part:
                part.write_bytes(data)
                part.chmod(PUBLIC_FILE)
                part.replace(self._claims / name)
            _sync_folder(self._claims)
        return name

    def unclaim(self, names: Iterable[str]) -> None:
        """Remove claims."""
        with storage_guard(self._claims):
            for name in names:
                (self._claims / name).unlink(missing_ok=True)

    def has(self, path: PurePosixPath, facts: FileFacts) -> bool:
        """Return whether this very file is there; it is read if its size is right."""
        place = self.root / path
        try:
            return place.stat().st_size == facts.size and hash_file(place) == facts.sha256
        except OSError:
            return False

    def put(self, path: PurePosixPath, source: Path, facts: FileFacts) -> None:
        """Place a file, hashed on the way and synced to the disk before it gets its name."""
        place = self.root / check_place(path)
        if _is_same(place, source):
            # The repository's own tree, where the package was put when it was added.
            check_source(path, source, facts)
            return
        with storage_guard(place):
            make_public_folder(place.parent)
            with _part_beside(place) as part:
                with _opened(path, source) as file, part.open("xb") as copy:
                    if _copy(file, copy) != facts.sha256:
                        raise not_as_stated(path, source)
                    copy.flush()
                    os.fsync(copy.fileno())
                part.chmod(PUBLIC_FILE)
                part.replace(place)
            _sync_folder(place.parent)

    def open(self, path: PurePosixPath) -> BinaryIO:
        """Open a file to read it."""
        try:
            return (self.root / path).open("rb")
        except OSError as error:
            raise RepoError(
                f"{self.root / path}: {error.strerror}", hint="publish the repository again"
            ) from error

    def delete(self, paths: Iterable[PurePosixPath]) -> None:
        """Remove files, and the folders that they leave empty."""
        for path in paths:
            place = self.root / check_place(path)
            with storage_guard(place):
                place.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == PurePosixPath() or not _remove_if_empty(self.root / parent):
                    break


@contextmanager
def _part_beside(place: Path) -> Iterator[Path]:
    part = place.with_name(f".{place.name[:180]}.{secrets.token_hex(4)}{_PART}")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _opened(path: PurePosixPath, source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except FileNotFoundError as error:
        raise lost(path, source) from error


def _copy(source: BinaryIO, target: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := source.read(_CHUNK):
        digest.update(block)
        target.write(block)
    return digest.hexdigest()


def _is_same(place: Path, source: Path) -> bool:
    try:
        return place.samefile(source)
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    """Sync a folder, so that its renames are on the disk before the publication goes on."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
