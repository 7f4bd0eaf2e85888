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
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath

import createrepo_c

from builder.base.errors import PayloadError
from builder.inspect import inspect_package
from builder.repo.advisories import Advisory, render_updateinfo
from builder.repo.config import RepoConfig
from builder.repo.model import Former, Listings, ParsedPackage, RepoPackage, RpmRecord, rpm_folder
from builder.repo.packages import Packages, Run, Splitter
from builder.repo.parts import Output, Piece, part_key
from builder.repo.spool import Digests, Spool

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
_REVISION = re.compile(rb"<revision>(\d+)</revision>")


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


# Packages of a kept part, about; a list of files can be long.
_RUNS = {Part.PRIMARY: 512, Part.FILELISTS: 32, Part.OTHER: 512}


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
    """Makes the indexes of dnf and zypper; ``listings`` returns fragments of filelists.xml.

    ``former`` returns the repomd.xml that lies at a place: a folder in which nothing changes
    keeps its time, and so its files.
    """

    def __init__(
        self,
        output: Output,
        listings: Listings,
        advisories: Sequence[Advisory] = (),
        former: Former = lambda _: None,
    ) -> None:
        self._output = output
        self._listings = listings
        self._advisories = advisories
        self._former = former

    def index(self, channel: str, packages: Packages, config: RepoConfig, now: datetime) -> None:
        """Write every metadata file of a channel to its place in the tree, unsigned.

        ``packages`` are rpms, sorted by name, version and architecture. ``now`` becomes the
        revision and the time of the lists, by which clients order them.
        """
        for component in config.components:
            for arch in config.architectures:
                chosen = packages.where(component=component, arch=arch)
                folder = rpm_folder(channel, component, arch)
                updates = render_updateinfo(self._advisories, chosen, channel)
                self._index_folder(folder, chosen, updates, config, int(now.timestamp()))

    def _index_folder(
        self,
        folder: PurePosixPath,
        packages: Packages,
        updates: bytes,
        config: RepoConfig,
        time: int,
    ) -> None:
        spool, compression = self._output.spool, config.rpm.compression
        lists = _pieces(packages, self._listings, len(folder.parts))
        if updates:
            lists[UPDATEINFO] = [Piece(texts=lambda: [updates])]
        records: dict[PurePosixPath, tuple[str, Digests]] = {}
        for part, pieces in lists.items():
            unnamed = folder / REPODATA / f"{part}.xml.{compression}"
            plain = self._output.write(pieces, {compression: unnamed})
            name = f"{spool.files[unnamed].sha256}-{unnamed.name}"
            spool.rename(unnamed, unnamed.with_name(name))
            records[unnamed.with_name(name)] = (part, plain)
        place = folder / REPODATA / REPOMD
        entry = _keep_time(lambda t: _render_repomd(records, spool, t), self._former(place), time)
        spool.write(place, entry)
        # Beside the folder, so that both have the same relative path to the pool.
        identity = hashlib.sha256(entry).hexdigest()[:_ID_DIGITS]
        snapshot = folder.with_name(f"{folder.name}.{identity}")
        for path in (*records, place):
            spool.link(path, snapshot / REPODATA / path.name)
        spool.write(folder / MIRRORLIST, f"{config.base_url}/{snapshot}/\n".encode())


def _keep_time(render: Callable[[int], bytes], former: bytes | None, time: int) -> bytes:
    """Return repomd.xml of its former time if nothing else in it changes, or of ``time``."""
    found = _REVISION.search(former) if former else None
    before = int(found[1]) if found else time
    if former and render(before) == former:
        return former
    return render(max(before, time))


def _pieces(packages: Packages, listings: Listings, depth: int) -> dict[str, list[Piece]]:
    """Return what each list is joined from; the packages are read once."""

    def piece(part: Part, run: Run) -> Piece:
        again = run.again  # and not the packages
        return Piece(
            texts=lambda: _texts(part, again, listings, depth),
            key=part_key(part.value, run.packages, depth),
        )

    splitters = {part: Splitter(packages, mean) for part, mean in _RUNS.items()}
    found: dict[Part, list[Piece]] = {part: [] for part in Part}
    count = 0
    for package in packages:
        count += 1
        for part, splitter in splitters.items():
            if run := splitter.add(package):
                found[part].append(piece(part, run))
    for part, splitter in splitters.items():
        if run := splitter.end():
            found[part].append(piece(part, run))
    return {
        part.value: [_plain(part.head(count)), *found[part], _plain(part.tail)] for part in Part
    }


def _plain(text: str) -> Piece:
    return Piece(texts=lambda: [text.encode()])


def _texts(
    part: Part, packages: Iterable[RepoPackage], listings: Listings, depth: int
) -> Iterator[bytes]:
    for package in packages:
        if part is Part.FILELISTS:
            yield listings(package.sha256)
            continue
        record = package.record
        assert isinstance(record, RpmRecord)
        if part is Part.PRIMARY:
            yield _placed(record.primary, package, depth).encode()
        else:
            yield record.other.encode()


def _placed(fragment: str, package: RepoPackage, depth: int) -> str:
    """Return the fragment with the package's place in the tree and the time it was added.

    ``depth`` is the number of folders from the root of the tree to that of the index.
    """
    place = html.escape(f"{'../' * depth}{package.pool}")
    found = _LOCATION.sub(lambda _: f'<location href="{place}"/>', fragment, count=1)
    added = int(package.added.timestamp())
    return _FILE_TIME.sub(f'<time file="{added}"', found, count=1)


def _render_repomd(
    records: Mapping[PurePosixPath, tuple[str, Digests]], spool: Spool, time: int
) -> bytes:
    """Render repomd.xml of lists: their kind and what their plain text has, by their places."""
    repomd = createrepo_c.Repomd()
    repomd.set_revision(str(time))
    for path, (part, plain) in records.items():
        packed = spool.files[path]
        record = createrepo_c.RepomdRecord(part)
        record.location_href = f"{REPODATA}/{path.name}"
        record.checksum, record.checksum_type = packed.sha256, "sha256"
        record.checksum_open, record.checksum_open_type = plain.sha256, "sha256"
        record.size, record.size_open = packed.size, plain.size
        record.timestamp = time
        repomd.set_record(record)
    return str(repomd.xml_dump()).encode()
