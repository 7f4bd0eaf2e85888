"""The changelogs that ``apt changelog`` fetches: a text for each version of a deb.

Release names their place by its field ``Changelogs``. A changelog is read out of the deb when
it is published first, and stays as long as a deb of that version.
"""

import gzip
import re
import zlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from builder.base import log
from builder.inspect.debfile import read_deb_file
from builder.inspect.streams import DamagedError
from builder.repo.config import RepoConfig
from builder.repo.model import DebRecord, FileFacts, Index, Listings, RepoPackage

CHANGELOGS = PurePosixPath("changelogs")
_DOC = "usr/share/doc"
_SOURCE = re.compile(r"^source:[ \t]*(\S.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
# By the policy for Debian's own packages (12.7), or of one whose packager is its author.
_NAMES = ("changelog.Debian.gz", "changelog.gz")


def changelogs_field(config: RepoConfig) -> str:
    """Return the template of addresses in which apt puts a package's part."""
    return f"{config.base_url}/{CHANGELOGS}/@CHANGEPATH@_changelog"


def changelog_place(package: RepoPackage, source: str = "") -> PurePosixPath:
    """Return the place of a deb's changelog, as apt makes it: by its source's name and version.

    ``source`` is the one that the indexes name in place of the package's own.
    """
    if not source:
        assert isinstance(package.record, DebRecord)
        found = _SOURCE.search(package.record.control)
        source = found[1] if found else package.name
    name, _, given = source.partition(" ")
    version = given.strip("() ") or package.version
    version = version.partition(":")[2] or version  # without the epoch
    letter = name[:4] if name.startswith("lib") else name[:1]
    folder = CHANGELOGS / package.component / letter / name
    return folder / f"{name}_{version}_changelog"


def find_changelogs(
    packages: Mapping[RepoPackage, Path],
    present: Mapping[PurePosixPath, FileFacts],
    listings: Listings,
) -> tuple[dict[PurePosixPath, FileFacts], Index]:
    """Return the changelogs of debs: those that are ``present``, and the others' texts.

    ``packages`` are with the places of their files; one that is damaged is reported elsewhere.
    """
    kept: dict[PurePosixPath, FileFacts] = {}
    made: Index = {}
    for package, path in packages.items():
        place = changelog_place(package)
        if place in present:
            kept[place] = present[place]
        elif place not in made:
            text = _read(package, path, listings)
            if text:
                made[place] = text
    return kept, made


def join_changelogs(
    packages: Mapping[RepoPackage, Path],
    sources: Mapping[str, str],
    known: Mapping[PurePosixPath, Path | bytes],
    listings: Listings,
) -> Index:
    """Return the changelogs of packages that have one source in the indexes, while phased.

    ``sources`` are by the package's sha256, ``known`` the texts or files of the packages' own.
    """
    joined: defaultdict[PurePosixPath, list[bytes]] = defaultdict(list)
    for package, path in packages.items():
        if package.sha256 not in sources:
            continue
        place = changelog_place(package, sources[package.sha256])
        own = changelog_place(package)
        # At the source's own place is what is made here.
        found = known.get(own) if own != place else None
        text = found.read_bytes() if isinstance(found, Path) else found
        text = text or _read(package, path, listings)
        if text and text not in joined[place]:
            joined[place].append(text)
    return {place: b"\n".join(texts) for place, texts in joined.items() if texts}


def _read(package: RepoPackage, path: Path, listings: Listings) -> bytes:
    listed = set(listings(package.sha256).decode("utf-8", "replace").split("\n"))
    named = [f"{_DOC}/{package.name}/{name}" for name in _NAMES]
    wanted = next((name for name in named if name in listed), None)
    if wanted is None:
        return b""
    try:
        return gzip.decompress(read_deb_file(path, f"/{wanted}"))
    except (OSError, EOFError, zlib.error, DamagedError) as error:
        log.warn(f"{package.label}: its changelog cannot be read: {error}")
        return b""
