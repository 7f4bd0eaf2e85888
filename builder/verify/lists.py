"""Package lists of a distribution: apt's Packages, or primary.xml of a repository of rpms.

A list is an answer of today; a record in ``pkgspec/provides/`` is one of its own day.
"""

import bz2
import gzip
import io
import lzma
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import IO

import createrepo_c
import tomlkit
import zstandard

from builder.base.errors import UsageError
from builder.base.model import PackageFormat
from builder.base.storage import replacing
from builder.repo.version import version_key
from builder.verify.provides import Capabilities
from builder.verify.requirements import parse_requirement

_HINT = {
    PackageFormat.DEB: "on a host of the distribution: apt-cache dumpavail >FILE",
    PackageFormat.RPM: "give primary.xml of the repository, as its repomd.xml names it",
}


def read_list(fmt: PackageFormat, path: Path) -> Capabilities:
    """Read the provides of a package list, compressed or not; raises UsageError."""
    read = {PackageFormat.DEB: _read_packages, PackageFormat.RPM: _read_primary}[fmt]
    try:
        found = read(path)
    except (OSError, EOFError, lzma.LZMAError, zstandard.ZstdError, ValueError) as error:
        raise UsageError(f"cannot read the package list {path}: {error}") from error
    if not found:
        raise UsageError(f"{path} lists no package", hint=_HINT[fmt])
    return found


def record_list(  # noqa: PLR0913 - by name
    fmt: PackageFormat,
    path: Path,
    found: Capabilities,
    asked: Collection[str],
    *,
    today: date,
    source: str,
) -> list[str]:
    """Write into a record what a list has of the names that packages ask for.

    All else in the file stays. Returns the names that the list lacks.
    """
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    document["recorded"], document["source"] = today, source
    packages = tomlkit.table()
    for name in sorted(set(asked) & set(found)):
        if any(found[name]):
            packages[name] = max(found[name], key=partial(version_key, fmt))
    document["packages"] = packages
    plain = [name for name in sorted(set(asked) & set(found)) if not any(found[name])]
    if plain:
        document["virtual"] = plain
    with replacing(path) as part:
        part.write_text(tomlkit.dumps(document), encoding="utf-8")
    return sorted(set(asked) - set(found))


def _read_packages(path: Path) -> Capabilities:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for fields in _paragraphs(path):
        name = fields.get("package", "")
        if not name:
            continue
        found[name].append(fields.get("version", ""))
        for text in filter(None, (part.strip() for part in fields.get("provides", "").split(","))):
            (provide,) = parse_requirement(PackageFormat.DEB, text)
            found[provide.name].append(provide.version)
    return {name: tuple(versions) for name, versions in found.items()}


def _paragraphs(path: Path) -> Iterator[Mapping[str, str]]:
    """Yield the name, version and provides of each paragraph; the rest is not looked at."""
    wanted = ("package", "version", "provides")
    fields: dict[str, str] = {}
    with (
        _open(path) as raw,
        io.TextIOWrapper(raw, "utf-8", "surrogateescape", newline="\n") as file,
    ):
        for line in file:
            if line == "\n":
                yield fields
                fields = {}
            name, colon, value = line.partition(":")
            if colon and name.lower() in wanted:
                fields[name.lower()] = value.strip()
    yield fields


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        head = file.read(6)
    if head.startswith(b"\x1f\x8b"):
        return gzip.open(path)  # type: ignore[return-value]
    if head.startswith(b"\xfd7zXZ"):
        return lzma.open(path)
    if head.startswith(b"BZh"):
        return bz2.open(path)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return zstandard.open(path, "rb")  # type: ignore[no-any-return]
    return path.open("rb")


def _read_primary(path: Path) -> Capabilities:
    found: defaultdict[str, list[str]] = defaultdict(list)

    def note(package: createrepo_c.Package) -> None:
        for name, _, epoch, version, release, _ in package.provides:
            whole = f"{version}-{release}" if release else version or ""
            found[name].append(f"{epoch}:{whole}" if epoch not in (None, "", "0") else whole)
        for _, folder, name in package.files:
            found[f"{folder}{name}"].append("")

    try:
        createrepo_c.xml_parse_primary(str(path), pkgcb=note, do_files=True)
    except createrepo_c.CreaterepoCError as error:
        raise ValueError(str(error)) from error
    return {name: tuple(dict.fromkeys(versions)) for name, versions in found.items()}
