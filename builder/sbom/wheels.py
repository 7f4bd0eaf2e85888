"""Takes the inventory of installed wheels: metadata, bundled libraries, SBOMs of their own."""

import re
from collections.abc import Iterable, Iterator, Sequence
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from builder.base.files import hash_file
from builder.sbom.model import LicenceFacts, Part, PartKind
from builder.sbom.own import read_own_sboms
from builder.sbom.texts import LONGEST, forbids_endorsement, read_holders
from builder.sbom.webui import read_web_parts
from builder.wheels.install import InstalledWheel

# auditwheel's name of a library that it bundles: libzmq-56587b1b.so.5.2.5
_BUNDLED = re.compile(
    r"(?P<name>lib.+?)-[0-9a-f]{8}(?:\.(?P<before>[\d.]+))?\.so(?:\.(?P<after>.+))?"
)
_LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|authors)", re.IGNORECASE)
_LIBS = ".libs"
_ROOT = PurePosixPath("/")


def wheel_part(
    wheel: InstalledWheel, metadata: Message, prefix: PurePosixPath, places: Sequence[str] = ()
) -> Part:
    """Return what is known of one wheel, with the parts inside of it.

    ``places`` are globs of its files below ``prefix``, where the package has it.
    """
    file = wheel.wheel
    name = canonicalize_name(file.name)
    return Part(
        ref=wheel_ref(name),
        kind=PartKind.WHEEL,
        name=name,
        version=file.version,
        purl=pypi_purl(name, file.version),
        sha256=file.sha256,
        file=file.file,
        source="the wheel's metadata",
        licence=licence_facts(metadata, wheel, prefix),
        places=tuple(f"{prefix}/{place}".lstrip("/") for place in places),
        parts=tuple(_inside(wheel, name)),
    )


def wheel_ref(name: str) -> str:
    """Return the ref of a distribution's part."""
    return f"wheel:{canonicalize_name(name)}"


def pypi_purl(name: str, version: str) -> str:
    """Return the package URL of a distribution of the index."""
    return f"pkg:pypi/{canonicalize_name(name)}@{version}"


def read_metadata(wheel: InstalledWheel) -> Message:
    """Read the METADATA of an installed wheel."""
    text = (_info(wheel) / "METADATA").read_text(encoding="utf-8", errors="replace")
    return HeaderParser().parsestr(text)


def licence_facts(
    metadata: Message,
    wheel: InstalledWheel | None = None,
    prefix: PurePosixPath = _ROOT,
) -> LicenceFacts:
    """Return what the metadata says of the licence, and which files beside it have its text."""
    classifiers = (str(line) for line in metadata.get_all("Classifier", []))
    files = tuple(_licence_files(_info(wheel))) if wheel else ()
    return LicenceFacts(
        expression=str(metadata.get("License-Expression", "")).strip(),
        text=str(metadata.get("License", "")).strip().partition("\n")[0].strip()[:LONGEST],
        classifiers=tuple(line for line in classifiers if line.startswith("License ::")),
        files=tuple(f"{prefix / path.relative_to(wheel.tree)}" for path in files) if wheel else (),
        holders=tuple(read_holders(files)) or tuple(_authors(metadata)),
        endorsement=any(map(forbids_endorsement, files)),
    )


def _authors(metadata: Message) -> Iterator[str]:
    for field in ("Author", "Author-email", "Maintainer", "Maintainer-email"):
        value = " ".join(str(metadata.get(field, "")).split())
        if value and value.upper() != "UNKNOWN":
            yield value[:LONGEST]
            return


def _info(wheel: InstalledWheel) -> Path:
    return (wheel.tree / wheel.record).parent


def _licence_files(info: Path) -> Iterator[Path]:
    for path in sorted(info.rglob("*")):
        inside = path.relative_to(info).parts
        if path.is_file() and (inside[0] == "licenses" or _LICENCE_FILE.search(path.name)):
            yield path


def _inside(wheel: InstalledWheel, name: str) -> Iterator[Part]:
    site = _info(wheel).parent
    for folder in sorted(site.glob(f"*{_LIBS}")):
        yield from _bundled(sorted(folder.iterdir()), name)
    yield from read_own_sboms(sorted(_info(wheel).glob("sboms/*.json")), name)
    yield from read_web_parts(site, name)


def _bundled(files: Iterable[Path], owner: str) -> Iterator[Part]:
    for path in files:
        match = _BUNDLED.fullmatch(path.name)
        version = (match["before"] or match["after"] or "") if match else ""
        yield Part(
            ref=f"{wheel_ref(owner)}/{path.name}",
            kind=PartKind.FILE,
            name=match["name"] if match else path.name,
            version=version,
            sha256=hash_file(path),
            file=path.name,
            source="the file's name: the version is that of its interface",
        )


def metadata_of(wheels: Sequence[InstalledWheel]) -> dict[str, Message]:
    """Return the metadata of each wheel by the name of its distribution."""
    return {canonicalize_name(wheel.wheel.name): read_metadata(wheel) for wheel in wheels}
