"""The rpm side of a repository: reads each rpm once, and makes the indexes.

createrepo_c reads a package into three XML fragments; an index only joins fragments, however
many packages there are. A channel gets, for each component and machine::

    MACHINE/repodata/     for clients that name that folder itself as baseurl
    MACHINE.ID/repodata/  a snapshot: the same under a name that never gets other files
    MACHINE/mirrorlist    one line: the address of the newest snapshot

dnf and zypper fetch repomd.xml and its signature one after the other. A publication between
the two requests gives them halves that do not match, whatever the order of its puts; zypper
then gives up, dnf tries once more. A client that begins with ``mirrorlist`` reads a single
file that changes, and then only files that never do.
"""

import hashlib
import html
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Protocol

import createrepo_c
import zstandard

from builder.base.errors import PayloadError
from builder.inspect import inspect_package
from builder.repo.advisories import Advisory, render_updateinfo
from builder.repo.config import IndexCompression, RepoConfig
from builder.repo.model import (
    Index,
    Listings,
    ParsedPackage,
    RepoPackage,
    RpmRecord,
    rpm_folder,
)

REPODATA = "repodata"
REPOMD = "repomd.xml"
UPDATEINFO = "updateinfo"
MIRRORLIST = "mirrorlist"
_CHANGELOG_ENTRIES = 20
_ID_DIGITS = 32
_LOCATION = re.compile(r'<location href="[^"]*"/>')
_FILE_TIME = re.compile(r'<time file="\d+"')
_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = "http://linux.duke.edu/metadata"
_ZSTD_LEVEL = 10
_GZIP_LEVEL = 6


class Part(StrEnum):
    """One of the three lists that a repository for rpm has."""

    PRIMARY = "primary"
    FILELISTS = "filelists"
    OTHER = "other"

    def head(self, count: int) -> str:
        """Return the text before the fragments of ``count`` packages."""
        tag, space = {
            Part.PRIMARY: ("metadata", f'{_NAMESPACE}/common" xmlns:rpm="{_NAMESPACE}/rpm'),
            Part.FILELISTS: ("filelists", f"{_NAMESPACE}/filelists"),
            Part.OTHER: ("otherdata", f"{_NAMESPACE}/other"),
        }[self]
        return f'{_XML}<{tag} xmlns="{space}" packages="{count}">\n'

    @property
    def tail(self) -> str:
        """The text after the fragments."""
        tag = {Part.PRIMARY: "metadata", Part.FILELISTS: "filelists", Part.OTHER: "otherdata"}
        return f"</{tag[self]}>\n"


def read_rpm_package(path: Path) -> ParsedPackage:
    """Read the rpm at ``path``, payload included, so that a damaged one is refused.

    Raises UsageError if it is not an rpm, PayloadError if it is damaged.
    """
    package = inspect_package(path)
    metadata = package.metadata
    record, listing = _read_fragments(path)
    return ParsedPackage(
        name=metadata.name,
        version=metadata.version,
        arch=metadata.arch,
        record=record,
        listing=listing,
        sbom=package.sbom,
    )


def reread_header(path: Path, parsed: ParsedPackage) -> ParsedPackage:
    """Read the header again after a signature moved it; the payload is unchanged."""
    record, listing = _read_fragments(path)
    return replace(parsed, record=record, listing=listing)


def _read_fragments(path: Path) -> tuple[RpmRecord, bytes]:
    """Read the record of the rpm at ``path``, and its fragment of filelists.xml."""
    try:
        primary, filelists, other = createrepo_c.xml_from_rpm(
            str(path), createrepo_c.SHA256, path.name, None, _CHANGELOG_ENTRIES
        )
    except (createrepo_c.CreaterepoCError, OSError) as error:
        raise PayloadError(
            f"{path}: createrepo_c cannot read it: {error}", hint="build or fetch the file again"
        ) from error
    return RpmRecord(primary=primary, other=other), filelists.encode()


class RpmIndexer:
    """Makes the indexes of dnf and zypper; ``listings`` returns fragments of filelists.xml."""

    def __init__(self, listings: Listings, advisories: Sequence[Advisory] = ()) -> None:
        self._listings = listings
        self._advisories = advisories

    def index(
        self, channel: str, packages: Sequence[RepoPackage], config: RepoConfig, now: datetime
    ) -> Index:
        """Return every metadata file of a channel by its place in the tree, unsigned.

        ``now`` becomes the revision and the time of the lists, by which clients order them.
        """
        index: Index = {}
        for component in config.components:
            for arch in config.architectures:
                chosen = [
                    package
                    for package in packages
                    if package.component == component and package.fits(arch)
                ]
                folder = rpm_folder(channel, component, arch)
                updates = render_updateinfo(self._advisories, chosen, channel)
                index |= self._index_folder(folder, chosen, updates, config, int(now.timestamp()))
        return index

    def _index_folder(
        self,
        folder: PurePosixPath,
        packages: Sequence[RepoPackage],
        updates: bytes,
        config: RepoConfig,
        time: int,
    ) -> Index:
        compression = config.rpm.compression
        repomd = createrepo_c.Repomd()
        repomd.set_revision(str(time))
        files: Index = {}
        texts: dict[str, Iterable[bytes]] = {
            part.value: _texts(part, packages, self._listings, len(folder.parts)) for part in Part
        }
        if updates:
            texts[UPDATEINFO] = [updates]
        for part, text in texts.items():
            made = _compress(text, compression)
            name = PurePosixPath(REPODATA) / f"{made.sha256}-{part}.xml.{compression}"
            repomd.set_record(_record(part, name, made, time))
            files[name] = made.data
        entry = repomd.xml_dump().encode()
        files[PurePosixPath(REPODATA) / REPOMD] = entry
        # Beside the folder, so that both have the same relative path to the pool.
        identity = hashlib.sha256(entry).hexdigest()[:_ID_DIGITS]
        snapshot = folder.with_name(f"{folder.name}.{identity}")
        index = {base / name: data for base in (folder, snapshot) for name, data in files.items()}
        index[folder / MIRRORLIST] = f"{config.base_url}/{snapshot}/\n".encode()
        return index


def _texts(
    part: Part, packages: Sequence[RepoPackage], listings: Listings, depth: int
) -> Iterator[bytes]:
    yield part.head(len(packages)).encode()
    for package in packages:
        record = package.record
        assert isinstance(record, RpmRecord)
        match part:
            case Part.PRIMARY:
                yield _placed(record.primary, package, depth).encode()
            case Part.FILELISTS:
                yield listings(package.sha256)
            case Part.OTHER:
                yield record.other.encode()
    yield part.tail.encode()


def _placed(fragment: str, package: RepoPackage, depth: int) -> str:
    """Return the fragment with the package's place in the tree and the time it was added.

    ``depth`` is the number of folders from the root of the tree to that of the index.
    """
    place = html.escape(f"{'../' * depth}{package.pool}")
    found = _LOCATION.sub(lambda _: f'<location href="{place}"/>', fragment, count=1)
    added = int(package.added.timestamp())
    return _FILE_TIME.sub(f'<time file="{added}"', found, count=1)


@dataclass(frozen=True, kw_only=True)
class _Compressed:
    """A list as it is published, with its facts for repomd.xml."""

    data: bytes
    sha256: str
    plain_sha256: str
    plain_size: int


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def _compressor(compression: IndexCompression) -> _Compressor:
    match compression:
        case IndexCompression.GZIP:
            # 16: with gzip's header, whose time zlib leaves at zero.
            return zlib.compressobj(_GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16)
        case IndexCompression.XZ:
            return lzma.LZMACompressor()
        case IndexCompression.ZSTD:
            return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()


def _compress(texts: Iterable[bytes], compression: IndexCompression) -> _Compressed:
    """Join and compress, without ever holding the whole text: filelists can be large."""
    compressor = _compressor(compression)
    plain, size, blocks = hashlib.sha256(), 0, []
    for text in texts:
        plain.update(text)
        size += len(text)
        blocks.append(compressor.compress(text))
    data = b"".join([*blocks, compressor.flush()])
    return _Compressed(
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        plain_sha256=plain.hexdigest(),
        plain_size=size,
    )


def _record(
    part: str, name: PurePosixPath, made: _Compressed, time: int
) -> createrepo_c.RepomdRecord:
    record = createrepo_c.RepomdRecord(part)
    record.location_href = str(name)
    record.checksum, record.checksum_type = made.sha256, "sha256"
    record.checksum_open, record.checksum_open_type = made.plain_sha256, "sha256"
    record.size, record.size_open = len(made.data), made.plain_size
    record.timestamp = time
    return record
