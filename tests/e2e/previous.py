"""The release before the one under test."""

from collections.abc import Sequence

from packaging.version import Version

from builder.base.paths import PKGSPEC
from builder.spec import load_spec

# What a release must have to be a node of its own.
_NODE = "backendai"


def previous_release(version: str) -> tuple[str, Sequence[str]]:
    """The newest version before this one that has all of a single node, and its packages."""
    releases = [
        release for release in load_spec(PKGSPEC).releases.values() if _NODE in release.packages
    ]
    before = [release for release in releases if Version(release.version) < Version(version)]
    found = max(before, key=lambda release: Version(release.version))
    return found.version, found.packages
