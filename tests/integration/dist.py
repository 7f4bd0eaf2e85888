"""The folder of packages that is under test."""

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from builder.base.errors import BuilderError
from builder.base.model import PackageFormat
from builder.base.paths import PROJECT
from builder.base.run import run

MOUNT = "/dist"  # where hosts find the folder
RUNTIME = "backendai-runtime"
COMMON = "backendai-common"  # needs it, and every service needs this
_NAMES = {
    PackageFormat.DEB: re.compile(
        r"(?P<name>[a-z0-9-]+)_(?P<version>[^_]+)-(?P<revision>[^_-]+)_\w+\.deb"
    ),
    PackageFormat.RPM: re.compile(
        r"(?P<name>[a-z0-9-]+)-(?P<version>[^-]+)-(?P<revision>[^-]+)\.\w+\.rpm",
    ),
}


class NoPackagesError(BuilderError):
    """There are no packages to test."""


@dataclass(frozen=True, kw_only=True)
class Dist:
    """A folder of packages and the version among them that is tested."""

    folder: Path
    version: str

    def names(self, kind: PackageFormat, *packages: str) -> list[str]:
        """The file names of these packages; NoPackagesError where one is not there.

        The runtime comes with whoever needs it; packages of before had none.
        """
        found = []
        below = [RUNTIME] if COMMON in packages and RUNTIME not in packages else []
        if not _index(self.folder, kind, RUNTIME).get(self.version):
            below = []
        for package in (*below, *packages):
            name = _index(self.folder, kind, package).get(self.version)
            if name is None:
                raise NoPackagesError(
                    f"no {kind} of {package} {self.version} in {self.folder}",
                    hint=f"run: builder build {package} --format {kind}",
                )
            found.append(name)
        return found


def freeze(dist: Dist, folder: Path) -> Dist:
    """The same packages in ``folder``, where a build that goes on cannot replace them."""
    for kind in PackageFormat:
        for path in dist.folder.glob(f"*.{kind}"):
            try:
                (folder / path.name).hardlink_to(path)
            except OSError:  # another file system
                shutil.copyfile(path, folder / path.name)
    return Dist(folder=folder, version=dist.version)


def have_release(dist: Dist, version: str, kind: PackageFormat, *packages: str) -> list[str]:
    """The file names of these packages at another version, built where they are not there.

    By the builder's cache that takes seconds; the first time it fetches the wheels.
    """
    other = Dist(folder=dist.folder, version=version)
    try:
        return other.names(kind, *packages)
    except NoPackagesError:
        words = ["build", RUNTIME, *packages, "--release", version, "--format", kind]
        own = {name: text for name, text in os.environ.items() if name.startswith("BUILDER_")}
        command = [sys.executable, "-m", "builder", "--quiet", *words, "--out", str(dist.folder)]
        run(command, cwd=PROJECT, env=own)
    return other.names(kind, *packages)


def find_dist(folder: Path, *, release: str | None = None) -> Dist:
    """The packages of ``release``, by default the newest version of the manager there."""
    versions = {
        version for kind in PackageFormat for version in _index(folder, kind, "backendai-manager")
    }
    if not versions:
        raise NoPackagesError(
            f"no packages of backendai-manager in {folder}",
            hint="run: make packages, or set BUILDER_DIST",
        )
    return Dist(folder=folder, version=release or max(versions, key=_order))


def tested() -> Dist:
    """The packages to test: those of BUILDER_DIST, or of the project's dist/."""
    folder = Path(os.environ.get("BUILDER_DIST") or PROJECT / "dist")
    return find_dist(folder, release=os.environ.get("BUILDER_TEST_RELEASE"))


def _index(folder: Path, kind: PackageFormat, package: str) -> dict[str, str]:
    """The file of each version of a package, in its newest revision."""
    found: dict[str, tuple[Version, str]] = {}
    for path in folder.glob(f"{package}*.{kind}"):
        match = _NAMES[kind].fullmatch(path.name)
        if match and match["name"] == package:
            candidate = Version(match["revision"]), path.name
            version = match["version"]
            found[version] = max(candidate, found.get(version, candidate))
    return {version: name for version, (_, name) in found.items()}


def _order(version: str) -> Version:
    return Version(version.replace("~", ""))
