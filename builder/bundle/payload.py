"""The payload of a bundle: a tar whose bytes depend on its content alone, whole or in parts."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.base import log
from builder.base.files import PUBLIC_FILE, hash_file
from builder.bundle.model import SUMS, Part
from builder.bundle.tree import list_tree


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A tar that was written."""

    sha256: str
    size: int
    parts: tuple[Part, ...]


class SplitFile(io.RawIOBase):
    """Writes to files of at most ``limit`` bytes, and hashes each of them and the whole."""

    def __init__(self, folder: Path, name: Callable[[int], str], limit: int | None) -> None:
        super().__init__()
        self._folder, self._name, self._limit = folder, name, limit
        self._file: io.BufferedWriter | None = None
        self._size, self._hash = 0, hashlib.sha256()
        self._parts: list[Part] = []
        self._whole, self._total = hashlib.sha256(), 0

    def writable(self) -> bool:
        """Return True: it is there to be written."""
        return True

    def write(self, data: object, /) -> int:
        """Write all of ``data``, to the next file where this one is full."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        length = len(view)
        self._whole.update(view)
        self._total += length
        while view:
            room = len(view) if self._limit is None else self._limit - self._size
            if self._file is None or room == 0:
                self._next()
                continue
            piece = view[:room]
            self._file.write(piece)
            self._hash.update(piece)
            self._size += len(piece)
            view = view[len(piece) :]
        return length

    def finish(self) -> Payload:
        """Close the last file, and return what was written."""
        self._end()
        return Payload(sha256=self._whole.hexdigest(), size=self._total, parts=tuple(self._parts))

    def _next(self) -> None:
        self._end()
        name = self._name(len(self._parts) + 1)
        self._file = (self._folder / name).open("wb")
        self._size, self._hash = 0, hashlib.sha256()

    def _end(self) -> None:
        if self._file is None:
            return
        self._file.close()
        name = Path(self._file.name).name
        self._parts.append(Part(name=name, size=self._size, sha256=self._hash.hexdigest()))
        self._file = None


def write_sums(tree: Path) -> None:
    """Write the sums of every file of the tree, for sha256sum."""
    rows = [f"{hash_file(tree / path)}  {path}\n" for path in list_tree(tree)]
    (tree / SUMS).write_text("".join(rows), encoding="utf-8")


def write_payload(tree: Path, time: int, target: SplitFile) -> Payload:
    """Write the tree as a tar: sums first, every file by name, the same time and owner for all."""
    paths = [PurePosixPath(SUMS), *(path for path in list_tree(tree) if str(path) != SUMS)]
    total = tree_size(tree, paths)
    with (
        log.progress("packing", total) as advance,
        tarfile.open(fileobj=target, mode="w|", format=tarfile.GNU_FORMAT) as archive,
    ):
        for path in paths:
            member = tarfile.TarInfo(str(path))
            member.size = (tree / path).stat().st_size
            member.mode, member.mtime = PUBLIC_FILE, time
            with (tree / path).open("rb") as file:
                archive.addfile(member, file)
            advance(member.size)
    return target.finish()


def tree_size(tree: Path, paths: Sequence[PurePosixPath]) -> int:
    """Return the bytes of files of the tree."""
    return sum((tree / path).stat().st_size for path in paths)
