"""The facts of one package for people and machines: fields, runtime, wheels, large folders."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from builder.base.errors import PayloadError, UsageError
from builder.base.model import PackageFormat
from builder.base.parse import TextError, parse_json_object
from builder.base.paths import BUILD_INFO, SBOM_FILE, TARGET_DOC
from builder.inspect import debfile, header
from builder.inspect.deb822 import parse_fields
from builder.inspect.debfile import read_deb
from builder.inspect.model import Contents, FileEntry, Metadata
from builder.inspect.rpmfile import read_rpm
from builder.inspect.streams import DamagedError

_RECORD = re.compile(r"(.*/site-packages)/([^/]+)-([^/-]+)\.dist-info/RECORD")
_UNITS = re.compile(r"(/usr)?/lib/systemd/system/[^/]+|/etc/systemd/system/[^/]+")
_SITE = re.compile(r"(.*/site-packages/[^/]+)/.*")
_LIBRARY = re.compile(r"(.*/lib/python3\.\d+)/.*")
_BYTECODE = re.compile(r"(.*)/__pycache__/([^/]+)\.cpython-\d+(?:\.opt-\d)?\.pyc")
_ARCHIVE = re.compile(r".*/site-packages/[^/]+\.bytecode")
_TOP_PARTS = 5  # of a path, the root counted: /usr/share/doc/NAME
_WHOLE_HINT = "fetch or build the file again: it was damaged after it was written"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A part of the payload, and its size: a distribution or a folder."""

    name: str  # of the distribution, or the folder's path
    files: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package file: the facts read out of it, and their meaning."""

    path: Path
    size: int  # of the package file
    contents: Contents
    licence: str
    build_info: Mapping[str, Any] | None  # build-info.json of the payload
    sbom: Mapping[str, Any] | None = None  # likewise sbom.cdx.json
    units: tuple[str, ...]
    folders: tuple[Folder, ...]  # largest first

    @property
    def metadata(self) -> Metadata:
        """The package's fields."""
        return self.contents.metadata

    @property
    def payload_size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.contents.files if not file.is_dir)

    @property
    def file_count(self) -> int:
        """Files and links, without folders."""
        return sum(not file.is_dir for file in self.contents.files)


def inspect_package(path: Path) -> Package:
    """Read the package at ``path``.

    Raises UsageError if it is not a package, PayloadError if it is damaged.
    """
    fmt = _format_of(path)
    read = {PackageFormat.DEB: read_deb, PackageFormat.RPM: read_rpm}[fmt]
    try:
        contents = read(path, _wanted)
        return _package(path, contents)
    except DamagedError as error:
        raise PayloadError(f"{path}: {error}", hint=_WHOLE_HINT) from error


def _format_of(path: Path) -> PackageFormat:
    hint = "give a .deb or .rpm file"
    try:
        with path.open("rb") as file:
            begin = file.read(8)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    if begin == debfile.MAGIC:
        return PackageFormat.DEB
    if begin[:4] == header.LEAD_MAGIC:
        return PackageFormat.RPM
    what = f"it begins with {begin!r}" if begin else "it is empty"
    raise UsageError(f"{path} is not a deb or rpm: {what}", hint=hint)


def _wanted(path: str) -> bool:
    return (
        path.startswith(f"{TARGET_DOC}/")
        and path.endswith((f"/{BUILD_INFO}", f"/{SBOM_FILE}", "/copyright"))
    ) or _RECORD.fullmatch(path) is not None


def _package(path: Path, contents: Contents) -> Package:
    files = contents.files
    return Package(
        path=path,
        size=path.stat().st_size,
        contents=contents,
        licence=contents.metadata.licence or _licence(contents),
        build_info=_json_file(contents, BUILD_INFO),
        sbom=_json_file(contents, SBOM_FILE),
        units=tuple(f.path for f in files if not f.is_dir and _UNITS.fullmatch(f.path)),
        folders=sum_folders(files, _owners(contents.kept)),
    )


def _json_file(contents: Contents, name: str) -> dict[str, Any] | None:
    path = f"{TARGET_DOC}/{contents.metadata.name}/{name}"
    content = contents.kept.get(path)
    if content is None:
        return None
    try:
        return parse_json_object(content)
    except TextError as error:
        raise DamagedError(f"{path} in it is {error}") from error


def _licence(contents: Contents) -> str:
    """Return the first licence in a deb's machine-readable copyright file: debs lack a field."""
    text = contents.kept.get(f"{TARGET_DOC}/{contents.metadata.name}/copyright", b"")
    for paragraph in text.decode(errors="replace").split("\n\n"):
        licence = parse_fields(paragraph).get("license", "").partition("\n")[0]
        if licence:
            return licence
    return ""


def _owners(kept: Mapping[str, bytes]) -> dict[str, str]:
    """Return the distribution of every file that a RECORD lists."""
    owners: dict[str, str] = {}
    for path, content in kept.items():
        match = _RECORD.fullmatch(path)
        if match:
            site = PurePosixPath(match[1])
            rows = csv.reader(io.StringIO(content.decode(errors="replace")))
            try:
                listed = [row[0] for row in rows if row]
            except csv.Error as error:
                raise DamagedError(f"{path} in it is no table ({error})") from error
            names = [name for name in listed if not name.startswith("../")]
            owners |= {f"{site}/{name}": f"{match[2]} {match[3]}" for name in names}
    return owners


def sum_folders(files: Iterable[FileEntry], owners: Mapping[str, str]) -> tuple[Folder, ...]:
    """Sum sizes by distribution, else by folder; largest first. Pure."""
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for file in files:
        if not file.is_dir:
            name = owners.get(_source_of(file.path)) or _top_folder(file.path)
            sizes[name] += file.size
            counts[name] += 1
    found = [Folder(name=name, files=counts[name], size=sizes[name]) for name in sizes]
    return tuple(sorted(found, key=lambda folder: (-folder.size, folder.name)))


def _source_of(path: str) -> str:
    """Return the source of a bytecode file, which no RECORD lists; any other path unchanged."""
    match = _BYTECODE.fullmatch(path)
    return f"{match[1]}/{match[2]}.py" if match else path


def _top_folder(path: str) -> str:
    if _ARCHIVE.fullmatch(path):
        return "bytecode"
    match = _SITE.fullmatch(path) or _LIBRARY.fullmatch(path)
    if match:
        return match[1]
    parents = path.split("/")[:-1]
    return "/".join(parents[:_TOP_PARTS]) or "/"
