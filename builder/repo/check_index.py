"""Reads a published tree as apt and dnf do, and reports what they would refuse.

The check begins at the entry points and trusts only the keys: it verifies the signatures,
then the hashes in the signed files, down to each package.
"""

import gzip
import hashlib
import lzma
import posixpath
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import BinaryIO, Protocol, cast
from xml.etree import ElementTree

import zstandard

from builder.base.files import digest_stream
from builder.inspect.deb822 import decode, parse_fields
from builder.repo.check_signature import SignatureCheck
from builder.repo.config import IndexCompression
from builder.repo.model import FileFacts, archive_root, dists_folder

_HASHES = ("sha256", "sha512")
_REPO = "{http://linux.duke.edu/metadata/repo}"
_COMMON = "{http://linux.duke.edu/metadata/common}"
_BLOCK = 1 << 18
_ROW_WORDS = 3  # hash, size, path
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class TreeReader(Protocol):
    """The tree that is checked; builder.repo.check implements it."""

    def below(self, folder: PurePosixPath) -> Iterator[PurePosixPath]:
        """Yield every file in a folder, sorted."""
        ...

    def open(self, path: PurePosixPath) -> AbstractContextManager[BinaryIO | None]:
        """Open a file to read it; None if it does not exist."""
        ...

    def get(self, path: PurePosixPath) -> bytes | None:
        """Return the content of a file; None if it does not exist."""
        ...

    def facts(self, path: PurePosixPath) -> FileFacts | None:
        """Return the hash and size of a file; None if it does not exist."""
        ...


@dataclass(frozen=True, kw_only=True)
class IndexCheck:
    """A check of one tree by one set of keys."""

    tree: TreeReader
    signatures: SignatureCheck
    now: datetime

    def channel(self, channel: str, indexed: datetime | None) -> Iterator[str]:
        """Yield every problem of a channel, whose indexes were last made at ``indexed``."""
        yield from self.apt(dists_folder(channel), indexed)
        yield from self._rpm(PurePosixPath("rpm") / channel)

    def apt(self, folder: PurePosixPath, indexed: datetime | None) -> Iterator[str]:
        """Yield every problem of apt's indexes in a folder."""
        signed = self.tree.get(folder / "InRelease")
        release = self.tree.get(folder / "Release")
        if signed is None or release is None:
            yield f"{folder}: has no InRelease and Release"
            return
        said = self.signatures.content(signed)
        yield from self.signatures.judge(folder / "InRelease", signed)
        yield from self._detached(folder / "Release", ".gpg", release)
        if said and said != release:
            yield f"{folder}/Release: is not what InRelease signs"
        fields = parse_fields(decode(said or release))
        yield from self._dates(folder, fields, indexed)
        yield from self._hashes(folder, fields)

    def _dates(
        self, folder: PurePosixPath, fields: dict[str, str], indexed: datetime | None
    ) -> Iterator[str]:
        dated, until = _date(fields.get("date", "")), _date(fields.get("valid-until", ""))
        if dated is None:
            yield f"{folder}/InRelease: states no Date"
        elif indexed and dated < indexed:
            yield (
                f"{folder}/InRelease: is of {dated:%Y-%m-%d %H:%M:%S}, the last publication of "
                f"{indexed:%Y-%m-%d %H:%M:%S}: it was rolled back"
            )
        if until and until <= self.now:
            yield f"{folder}/InRelease: was valid until {until:%Y-%m-%d}: publish again"

    def _hashes(self, folder: PurePosixPath, fields: dict[str, str]) -> Iterator[str]:
        for name in _HASHES:
            for row in fields.get(name, "").split("\n"):
                words = row.split()
                if len(words) == _ROW_WORDS:
                    yield from self._indexed_file(folder, name, words)
        for row in fields.get("sha256", "").split("\n"):
            if row.endswith("/Packages"):
                yield from self._packages(folder / row.split()[-1], archive_root(folder))

    def _indexed_file(
        self, folder: PurePosixPath, name: str, words: Sequence[str]
    ) -> Iterator[str]:
        digest, size, relative = words
        path = folder / relative
        by_hash = path.parent / "by-hash" / name.upper() / digest
        if path.name.startswith("Contents-") and not path.suffix:
            found = {path: self._unpacked(path, name)}
        else:
            found = {place: self._stored(place, name) for place in (path, by_hash)}
        for place, facts in found.items():
            if facts is None:
                yield f"{place}: is missing, and {folder}/InRelease names it"
            elif facts != (digest, int(size)):
                yield f"{place}: does not have the {name} that {folder}/InRelease states"

    def _stored(self, path: PurePosixPath, name: str) -> tuple[str, int] | None:
        """Return the hash of this name and the size of a file; None if it cannot be read."""
        with self.tree.open(path) as file, suppress(OSError):
            return digest_stream(file, name) if file else None
        return None

    def _unpacked(self, path: PurePosixPath, name: str) -> tuple[str, int] | None:
        """Likewise of a file that is published only compressed, as in Debian's archive."""
        for suffix in IndexCompression:
            packed = path.with_suffix(f".{suffix}")
            with self.tree.open(packed) as file:
                if file is not None:
                    try:
                        return digest_stream(_plain(packed, file), name)
                    except _BROKEN:
                        return hashlib.new(name).hexdigest(), 0
        return None

    def _packages(self, path: PurePosixPath, root: PurePosixPath) -> Iterator[str]:
        with self.tree.open(path) as file:
            for paragraph in _paragraphs(file) if file else ():
                fields = parse_fields(decode(paragraph))
                if fields:
                    # Those of 'apt --snapshot' lead out of their archive, to the pool.
                    place = PurePosixPath(posixpath.normpath(root / fields.get("filename", "?")))
                    yield from self._package(
                        path, place, fields.get("sha256", ""), fields.get("size", "")
                    )

    def _package(
        self, index: PurePosixPath, place: PurePosixPath, sha256: str, size: str
    ) -> Iterator[str]:
        found = self.tree.facts(place)
        if found is None:
            yield f"{place}: is missing, and {index} names it"
        elif (found.sha256, str(found.size)) != (sha256, size):
            yield f"{place}: does not have the sha256 and size that {index} states"

    def _detached(self, path: PurePosixPath, suffix: str, data: bytes) -> Iterator[str]:
        place = path.with_name(path.name + suffix)
        signature = self.tree.get(place)
        if signature is None:
            yield f"{place}: is missing"
        else:
            yield from self.signatures.judge(place, signature, data)

    def _rpm(self, folder: PurePosixPath) -> Iterator[str]:
        for path in self._repomds(folder):
            data = self.tree.get(path)
            if data is None:
                yield f"{path}: is missing"
                continue
            yield from self._detached(path, ".asc", data)
            try:
                yield from self._repomd(path, ElementTree.fromstring(data))
            except (ElementTree.ParseError, *_BROKEN) as error:
                yield f"{path}: cannot be read: {error}"

    def _repomds(self, folder: PurePosixPath) -> Iterator[PurePosixPath]:
        """Yield the repomd.xml of plain folders, and of the snapshots that clients read now."""
        for mirrorlist in self._mirrorlists(folder):
            yield mirrorlist.with_name("repodata") / "repomd.xml"
            text = (self.tree.get(mirrorlist) or b"").decode(errors="replace")
            snapshot = PurePosixPath(text.strip()).name
            yield mirrorlist.parent.with_name(snapshot or "?") / "repodata" / "repomd.xml"

    def _mirrorlists(self, folder: PurePosixPath) -> list[PurePosixPath]:
        return [path for path in self.tree.below(folder) if path.name == "mirrorlist"]

    def _repomd(self, path: PurePosixPath, root: ElementTree.Element) -> Iterator[str]:
        base = path.parent.parent
        for data in root.iter(f"{_REPO}data"):
            location, checksum = data.find(f"{_REPO}location"), data.find(f"{_REPO}checksum")
            if location is None or checksum is None:
                yield f"{path}: has an entry without location or checksum"
                continue
            place = base / location.attrib["href"]
            facts = self._stored(place, "sha256")
            if facts is None:
                yield f"{place}: is missing, and {path} names it"
            elif facts[0] != checksum.text:
                yield f"{place}: does not have the sha256 that {path} states"
            elif data.attrib.get("type") == "primary":
                yield from self._primary(base, place)

    def _primary(self, base: PurePosixPath, path: PurePosixPath) -> Iterator[str]:
        with self.tree.open(path) as file:
            packages = _elements(_plain(path, file), f"{_COMMON}package") if file else ()
            yield from self._rpms(base, path, packages)

    def _rpms(
        self, base: PurePosixPath, path: PurePosixPath, packages: Iterable[ElementTree.Element]
    ) -> Iterator[str]:
        for package in packages:
            location, size = package.find(f"{_COMMON}location"), package.find(f"{_COMMON}size")
            place = posixpath.normpath(
                base / (location.attrib["href"] if location is not None else "?")
            )
            yield from self._package(
                path,
                PurePosixPath(place),
                package.findtext(f"{_COMMON}checksum", ""),
                size.attrib.get("package", "") if size is not None else "",
            )


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text.replace("UTC", "+0000")).astimezone(UTC)
    except ValueError:
        return None


def _plain(path: PurePosixPath, file: BinaryIO) -> BinaryIO:
    match path.suffix:
        case ".gz":
            return cast("BinaryIO", gzip.GzipFile(fileobj=file))
        case ".xz":
            return cast("BinaryIO", lzma.LZMAFile(file))
        case ".zst":
            # It is joined from several frames.
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            return cast("BinaryIO", reader)
        case _:
            return file


def _paragraphs(file: BinaryIO) -> Iterator[bytes]:
    """Yield what an empty line separates."""
    rest = b""
    while block := file.read(_BLOCK):
        *whole, rest = (rest + block).split(b"\n\n")
        yield from whole
    yield rest


def _elements(file: BinaryIO, tag: str) -> Iterator[ElementTree.Element]:
    """Yield the elements of a document that are called like this, each held until the next."""
    root = None
    for event, element in ElementTree.iterparse(file, ("start", "end")):
        if root is None:
            root = element
        if event == "end" and element.tag == tag:
            yield element
            root.clear()
