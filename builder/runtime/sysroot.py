"""The target's libraries and headers, for compiling CPython for another architecture.

They are those of this host's distribution, from its own mirror and of its candidate versions,
unpacked into the cache: the host itself gets no package of another architecture. apt resolves
and verifies them in a folder of its own.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from builder.base import elf, log, run
from builder.base.cache import Cache, key_of
from builder.base.errors import OfflineError, RuntimeUnavailableError, ToolError
from builder.base.model import Arch
from builder.inspect import inspect_package
from builder.runtime.buildhost import host_identity, library_packages
from builder.runtime.bundle import Owner

_KIND = "sysroot"
_FORMAT = 1  # of a sysroot; raise it when this module makes different ones
_OWNERS = "owners.json"
_ROOT = "root"
_C_LIBRARY = "libc6-dev"
_CANDIDATE = re.compile(r"^  Candidate: (\S+)$", re.MULTILINE)
_APT_TIMEOUT_S = 300
_HINT = "use --runtime pbs or --runtime archive, which bring a CPython that is compiled already"


@dataclass(frozen=True, kw_only=True)
class Sysroot:
    """The libraries of one architecture in the cache."""

    arch: Arch
    key: str
    folder: Path

    @property
    def root(self) -> Path:
        """The folder that takes the place of / for the compiler."""
        return self.folder / _ROOT

    @property
    def strip(self) -> str:
        """The program that strips them."""
        return f"{self.arch.triplet}-strip"

    def find(self, name: str) -> Path | None:
        """Return the file with this soname, links resolved."""
        for folder in ("lib", "usr/lib"):
            path = self.root / folder / self.arch.triplet / name
            if path.exists() and elf.read_machine(path) == self.arch.elf_machine:
                return path.resolve()
        return None

    def owner(self, path: Path) -> Owner | None:
        """Return the package that a library is from."""
        found = self._owners.get(f"/{path.relative_to(self.root)}")
        if found is None:
            return None
        name, version = found
        licence = self.root / "usr" / "share" / "doc" / name / "copyright"
        return Owner(name=name, version=version, licences=(licence,))

    @cached_property
    def _owners(self) -> Mapping[str, tuple[str, str]]:
        table = json.loads((self.folder / _OWNERS).read_text("utf-8"))
        return {path: (name, version) for path, (name, version) in table.items()}


def find_sysroot(arch: Arch, cache: Cache, further: Sequence[str] = ()) -> Sysroot | None:
    """Return the sysroot of the host's present candidates, if it was made before.

    It has ``further`` packages beside those that CPython is linked with.
    """
    key = _key(arch, further)
    folder = cache.find_derived(_KIND, key) if key else None
    return Sysroot(arch=arch, key=key, folder=folder) if folder is not None else None


def make_sysroot(
    arch: Arch, cache: Cache, *, offline: bool, further: Sequence[str] = ()
) -> Sysroot:
    """Return the sysroot, made where it is absent; raises RuntimeUnavailableError without apt."""
    found = find_sysroot(arch, cache, further)
    if found is not None:
        return found
    key = _key(arch, further)
    if not key:
        raise RuntimeUnavailableError(
            f"no libraries of {arch} to compile with: apt of this host has none", hint=_HINT
        )
    if offline:
        raise OfflineError(f"the libraries of {arch} are not in the cache", hint=_HINT)
    log.step(f"runtime: fetching the libraries of {arch} that CPython is linked with")

    def make(folder: Path) -> None:
        with cache.workspace() as work:
            _unpack(_fetch(arch, (*_wanted(), *further), work), folder)

    return Sysroot(arch=arch, key=key, folder=cache.derive(_KIND, key, make))


def _wanted() -> tuple[str, ...]:
    return (_C_LIBRARY, *library_packages())


def _key(arch: Arch, further: Sequence[str]) -> str:
    """Return the key of the sysroot of today's candidates; "" where apt has none."""
    program = shutil.which("apt-cache")
    if program is None:
        return ""
    names = (*_wanted(), *further)
    shown = run.run([program, "policy", *names], check=False).stdout
    versions = _CANDIDATE.findall(shown)
    if len(versions) != len(names) or "(none)" in versions:
        return ""
    return key_of(_KIND, _FORMAT, arch, host_identity(), versions)


def _fetch(arch: Arch, names: Sequence[str], work: Path) -> list[Path]:
    """Fetch the packages and all that they depend on, as if nothing were installed."""
    state = work / "state"
    (state / "lists" / "partial").mkdir(parents=True)
    (state / "archives" / "partial").mkdir(parents=True)
    (state / "status").touch()
    own = {
        "APT::Architecture": arch.value,
        "APT::Architectures::": arch.value,
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::State::lists": state / "lists",
        "Dir::Cache": state,
        "APT::Sandbox::User": "root",  # the folder is this user's alone
    }
    options = [word for key, value in own.items() for word in ("-o", f"{key}={value}")]
    program = os.fspath(run.find_tool("apt-get", hint=_HINT))
    apt = ["timeout", str(_APT_TIMEOUT_S), program, *options]
    run.run([*apt, "--quiet", "update"])
    options = ["--quiet", "--yes", "--download-only", "--no-install-recommends"]
    run.run([*apt, "install", *options, *names])
    found = sorted((state / "archives").glob("*.deb"))
    if not found:
        raise ToolError(f"apt has fetched no package of {arch}", hint=_HINT)
    return found


def _unpack(packages: list[Path], folder: Path) -> None:
    """Unpack packages into a root, and record whose each file is."""
    root = folder / _ROOT
    root.mkdir()
    owners: dict[str, tuple[str, str]] = {}
    unpack = run.find_tool("dpkg-deb", hint=_HINT)
    for path in packages:
        run.run([unpack, "--extract", path, root])
        contents = inspect_package(path).contents
        name, version = contents.metadata.name, contents.metadata.version
        owners |= {file.path: (name, version) for file in contents.files if not file.is_dir}
    _make_links_relative(root)
    (folder / _OWNERS).write_text(json.dumps(owners, indent=0, sort_keys=True), "utf-8")


def _make_links_relative(root: Path) -> None:
    """Let links lead to files of the sysroot, not of this host."""
    for place, folders, names in os.walk(root):
        for path in (Path(place, name) for name in (*folders, *names)):
            if path.is_symlink() and (target := path.readlink()).is_absolute():
                path.unlink()
                path.symlink_to(os.path.relpath(f"{root}{target}", place))
