"""The paths of the project's own files, and of the target's.

``Path`` is a path of this host, ``PurePosixPath`` a path on the target.
"""

import os
from pathlib import Path, PurePosixPath

PROJECT = Path(__file__).resolve().parents[2]
PKGSPEC = PROJECT / "pkgspec"
RUNTIMES_FILE = PKGSPEC / "runtimes.toml"
PRUNE_FILE = PKGSPEC / "prune.toml"

TARGET_ROOT = PurePosixPath("/opt/backendai")
TARGET_RUNTIME = TARGET_ROOT / "runtime"  # CPython, and the wheels that all services have
TARGET_DOC = PurePosixPath("/usr/share/doc")
BUILD_INFO = "build-info.json"  # of a package, in its folder below TARGET_DOC
SBOM_FILE = "sbom.cdx.json"  # likewise
SBOM_SUFFIX = ".cdx.json"  # of the same document beside the package


def extra_root() -> Path | None:
    """Return the folder of a site's own packages, BUILDER_PKGSPEC_EXTRA; None without one."""
    named = os.environ.get("BUILDER_PKGSPEC_EXTRA")
    return Path(named).absolute() if named else None


def extra_wheels() -> Path | None:
    """Return the folder of a site's own wheels; None if the site has none."""
    extra = extra_root()
    folder = extra / "wheels" if extra else None
    return folder if folder and folder.is_dir() else None


def cache_root() -> Path:
    """Return the cache's path: BUILDER_CACHE, or backendai-builder in the user's cache folder."""
    named = os.environ.get("BUILDER_CACHE")
    if named:
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "backendai-builder"
