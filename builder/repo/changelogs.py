"""The changelogs that ``apt changelog`` fetches: a text for each version of a deb.

Release names their place by its field ``Changelogs``. A changelog is read out of the deb when
it is published first, and stays as long as a deb of that version.
"""

import gzip
import re
import zlib
from pathlib import Path, PurePosixPath

from builder.base import log
from builder.inspect.debfile import read_deb_file
from builder.inspect.streams import DamagedError
from builder.repo.config import RepoConfig
from builder.repo.model import DebRecord, Listings, RepoPackage

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
    folder = f"{CHANGELOGS}/{package.component}/{letter}/{name}"
    return PurePosixPath(f"{folder}/{name}_{version}_changelog")


def read_changelog(package: RepoPackage, path: Path, listings: Listings) -> bytes:
    """Return the changelog in a deb; empty if it has none.

    One that is damaged is reported elsewhere: here it is warned of.
    """
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
