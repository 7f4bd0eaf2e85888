"""Parts of indexes, compressed once and kept: a publication makes only those that changed.

A part is of some packages that follow each other, as one text and compressed. It is kept by the
hash of all that it is made of, below the repository's private state, and carries its own
checksum: a part that is missing or damaged is made again. So the folder can be deleted at any
time.
"""

import hashlib
import os
import secrets
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import zstandard

from builder.base.cache import key_of
from builder.base.files import remove_unused
from builder.base.storage import storage_guard
from builder.repo.config import IndexCompression
from builder.repo.joining import compress_part, compress_with, open_joiner
from builder.repo.model import RepoPackage
from builder.repo.pdiffs import Pdiffs
from builder.repo.spool import Digests, Hasher, Spool

_FORMAT = 1  # raise it when the same key stands for another text
_TEXT = "text"  # how a part is kept beside its compressed forms
_TEXT_LEVEL = 3
_DIGEST = 32
_KEPT_S = 30 * 24 * 3600
_STEP = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some text of an index, by the key of what it is made of; without a key it is not kept."""

    texts: Callable[[], Iterable[bytes]]
    key: str = ""


class Parts:
    """The parts of one repository; without a folder nothing is kept."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self.made = 0  # parts that were compressed by this process

    def write(
        self,
        pieces: Sequence[Piece],
        spool: Spool,
        places: Mapping[IndexCompression, PurePosixPath],
        plain: PurePosixPath | None = None,
    ) -> Digests:
        """Join the pieces to a file of each compression; returns the digests of the text.

        ``plain`` is the place of the text itself, if it is to have one.
        """
        hasher, crc = Hasher(), 0
        with spool.stream(plain) if plain else nullcontext(_drop) as write:
            for data in self._texts(pieces):
                hasher.update(data)
                crc = zlib.crc32(data, crc)
                write(data)
        digests = hasher.digests()
        for compression, place in places.items():
            joiner = open_joiner(compression)
            with spool.stream(place) as write:
                write(joiner.begin())
                for piece in pieces:
                    write(joiner.add(self._compressed(piece, compression)))
                write(joiner.end(crc, digests.size))
        return digests

    def text(self, pieces: Iterable[Piece]) -> bytes:
        """Return the text of pieces, which is small."""
        return b"".join(self._texts(pieces))

    def _texts(self, pieces: Iterable[Piece]) -> Iterator[bytes]:
        for piece in pieces:
            if not piece.key or self._folder is None:
                yield from piece.texts()
                continue
            yield from self._kept_text(piece)

    def _kept_text(self, piece: Piece) -> Iterator[bytes]:
        packed = self._find(piece.key, _TEXT)
        if packed is None:
            compressor = zstandard.ZstdCompressor(level=_TEXT_LEVEL).compressobj()
            packed = compress_with(compressor, piece.texts())
            self._keep(piece.key, _TEXT, packed)
        reader = zstandard.ZstdDecompressor().stream_reader(packed)
        while data := reader.read(_STEP):
            yield data

    def _compressed(self, piece: Piece, compression: IndexCompression) -> bytes:
        if not piece.key or self._folder is None:
            return compress_part(piece.texts(), compression)
        found = self._find(piece.key, compression.value)
        if found is None:
            self.made += 1
            found = compress_part(self._kept_text(piece), compression)
            self._keep(piece.key, compression.value, found)
        return found

    def _place(self, key: str, form: str) -> Path:
        assert self._folder is not None
        return self._folder / key[:2] / f"{key}.{form}"

    def _find(self, key: str, form: str) -> bytes | None:
        """Return a part if it is there, and what was kept under this name."""
        path = self._place(key, form)
        try:
            whole = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        digest, data = whole[:_DIGEST], whole[_DIGEST:]
        return data if digest == _checksum(path.name, data) else None

    def _keep(self, key: str, form: str, data: bytes) -> None:
        path = self._place(key, form)
        with storage_guard(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{secrets.token_hex(8)}")
            # Not synced: what a crash leaves does not have its checksum.
            part.write_bytes(_checksum(path.name, data) + data)
            part.replace(path)

    def sweep(self) -> None:
        """Remove parts that no publication has used for a month, and what killed ones left."""
        if self._folder is None:
            return
        remove_unused(self._folder.glob("??/*"), _KEPT_S)


def _drop(_data: bytes) -> None:
    """Write nothing."""


def _checksum(name: str, data: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + data).digest()


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where indexes are written to, the parts that they are joined from, and former states."""

    spool: Spool
    parts: Parts = field(default_factory=Parts)
    pdiffs: Pdiffs | None = None  # without it there are no patches

    def write(
        self,
        pieces: Sequence[Piece],
        places: Mapping[IndexCompression, PurePosixPath],
        plain: PurePosixPath | None = None,
    ) -> Digests:
        """Write a list: see :meth:`Parts.write`."""
        return self.parts.write(pieces, self.spool, places, plain)


def part_key(kind: str, run: Iterable[RepoPackage], *more: object) -> str:
    """Return the key of a part: of its kind, its packages, and what else is in the text."""
    rows = [(p.sha256, str(p.pool), p.size, p.added.isoformat()) for p in run]
    return key_of(_FORMAT, kind, rows, *more)
