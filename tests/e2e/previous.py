"""The release before the one under test, built where it is absent."""

import os
import sys
from pathlib import Path

from packaging.version import Version

from builder.model import PackageFormat
from builder.paths import PKGSPEC, PROJECT
from builder.run import run
from builder.spec import load_spec

# What a release must have to be a node of its own.
_NODE = "backendai"


def previous_release(version: str) -> str:
    """The newest version before this one that has all of a single node."""
    releases = load_spec(PKGSPEC).releases.values()
    listed = [one.version for one in releases if _NODE in one.packages]
    return max((one for one in listed if Version(one) < Version(version)), key=Version)


def build_previous(version: str, folder: Path) -> list[Path]:
    """Its debs, from the cache where they were built before."""
    words = ["build", "--release", version, "--format", PackageFormat.DEB, "--out", str(folder)]
    own = {name: text for name, text in os.environ.items() if name.startswith("BUILDER_")}
    run([sys.executable, "-m", "builder", "--quiet", *words], cwd=PROJECT, env=own)
    found = sorted(folder.glob(f"*.{PackageFormat.DEB}"))
    assert found, f"nothing of {version} in {folder}"
    return found
