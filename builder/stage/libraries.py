"""Checks the needs of a payload's programs and libraries on the target. Pure.

Every shared library is either in the payload or comes from a dependency of the
package; no wheel needs a newer glibc than the release promises.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath

from builder.base.elf_info import ElfInfo, GlibcVersion
from builder.base.errors import PayloadError
from builder.base.model import Arch, PackageFormat
from builder.spec.schema import LibrarySpec

_LIBC_PACKAGE = "libc6"
_VERSION_NODE = re.compile(r"^(?P<family>[A-Z_]+?)_(?P<number>\d+(?:\.\d+)*)$")


@dataclass(frozen=True, kw_only=True)
class Binary:
    """A program or library of the payload, and its wheel or runtime."""

    owner: str  # wheel file name, or RUNTIME
    path: PurePosixPath  # below the prefix
    info: ElfInfo


RUNTIME = "the bundled CPython"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The glibc and libraries that the payload may rely on."""

    arch: Arch
    baseline: str  # glibc of the release, "2.28"; for wheels
    system: Mapping[str, LibrarySpec]  # soname to the package that brings it
    foreign: tuple[str, ...] = ()  # globs of binaries that run elsewhere


@dataclass(frozen=True, kw_only=True)
class Needs:
    """The dependencies of the package that its binaries need."""

    glibc: str | None
    deb: tuple[str, ...]
    rpm: tuple[str, ...]

    def of_format(self, fmt: PackageFormat) -> tuple[str, ...]:
        """Return the dependencies of a package of this format."""
        return {PackageFormat.DEB: self.deb, PackageFormat.RPM: self.rpm}[fmt]


def check_libraries(
    binaries: Iterable[Binary], rules: Rules, beside: Iterable[Binary] = ()
) -> Needs:
    """Return the needs of ``binaries`` on the target; raises PayloadError naming every offender.

    ``beside`` are those of a package below: they may be needed, their own needs are its own.
    """
    checked = [binary for binary in binaries if not _is_foreign(binary, rules)]
    bundled = {binary.path for binary in checked}
    names = _bundled_names([*checked, *beside])
    problems: list[str] = []
    used: dict[str, set[str]] = {}
    for binary in checked:
        problems += _binary_problems(binary, rules)
        for soname in binary.info.needed:
            if soname in rules.system:
                used.setdefault(soname, set()).update(binary.info.versions.get(soname, ()))
            elif not _is_bundled(binary, soname, bundled, names):
                problems.append(
                    f"{binary.owner}: {binary.path} needs {soname}, which is neither bundled "
                    "nor in a declared dependency"
                )
    if problems:
        raise PayloadError(
            "\n".join(sorted(set(problems))),
            hint="a library of the distribution is declared under [libraries] in pkgspec/project; "
            "files that run elsewhere under foreign-binaries of the package",
        )
    glibc = max((binary.info.glibc for binary in checked if binary.info.glibc), default=None)
    return _needs(used, rules.system, glibc)


def _is_foreign(binary: Binary, rules: Rules) -> bool:
    return any(fnmatch(str(binary.path), glob) for glob in rules.foreign)


def _bundled_names(binaries: Iterable[Binary]) -> dict[str, set[str]]:
    """Return file names and sonames by owner: a wheel may load its own library first."""
    found: dict[str, set[str]] = {}
    for binary in binaries:
        found.setdefault(binary.owner, set()).update(
            {binary.path.name, binary.info.soname or binary.path.name}
        )
    return found


def _binary_problems(binary: Binary, rules: Rules) -> list[str]:
    info, where = binary.info, f"{binary.owner}: {binary.path}"
    if info.machine != rules.arch.elf_machine:
        return [f"{where} is for {info.machine}, the package for {rules.arch}"]
    if binary.owner == RUNTIME or info.glibc is None or info.glibc <= parse_glibc(rules.baseline):
        return []
    needed = ".".join(map(str, info.glibc))
    return [f"{where} needs glibc {needed}, but the release promises {rules.baseline}"]


def parse_glibc(text: str) -> GlibcVersion:
    """Return "2.28" as numbers that compare."""
    return tuple(int(part) for part in text.split("."))


def _is_bundled(
    binary: Binary, soname: str, bundled: set[PurePosixPath], names: Mapping[str, set[str]]
) -> bool:
    for folder in binary.info.runpath:
        if folder.startswith(("$ORIGIN", "${ORIGIN}")):
            rest = folder.replace("${ORIGIN}", "$ORIGIN").removeprefix("$ORIGIN").lstrip("/")
            path = os.path.normpath(binary.path.parent / rest / soname)
            if PurePosixPath(path) in bundled:
                return True
    return soname in names[binary.owner] or soname in names.get(RUNTIME, ())


def _needs(
    used: Mapping[str, set[str]], system: Mapping[str, LibrarySpec], glibc: GlibcVersion | None
) -> Needs:
    text = ".".join(map(str, glibc)) if glibc else None
    deb = {system[soname].deb for soname in used}
    if text and _LIBC_PACKAGE in deb:
        deb = deb - {_LIBC_PACKAGE} | {PackageFormat.DEB.relation(_LIBC_PACKAGE, ">=", text)}
    rpm = {word for soname, versions in used.items() for word in _rpm(soname, versions, system)}
    return Needs(glibc=text, deb=tuple(sorted(deb)), rpm=tuple(sorted(rpm)))


def _rpm(soname: str, versions: set[str], system: Mapping[str, LibrarySpec]) -> list[str]:
    """Return capabilities as rpm records them: soname, and the newest version of each family."""
    named = system[soname].rpm
    if named:
        return [named]
    newest: dict[str, GlibcVersion] = {}
    for match in filter(None, map(_VERSION_NODE.match, versions)):
        number = parse_glibc(match["number"])
        newest[match["family"]] = max(number, newest.get(match["family"], number))
    return [
        f"{soname}()(64bit)",
        *(
            f"{soname}({family}_{'.'.join(map(str, number))})(64bit)"
            for family, number in newest.items()
        ),
    ]
