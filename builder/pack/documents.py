"""The documents that packing writes into a package: its SBOM, and its licences."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from builder import __version__
from builder.base.model import PackageFormat
from builder.base.paths import SBOM_FILE
from builder.base.run import run
from builder.pack.copyright import (
    licence_files,
    package_licence,
    render_copyright,
    texts_digest,
)
from builder.plan import PackagePlan, doc_folder
from builder.sbom.cyclonedx import FORMAT, Subject, render_cyclonedx
from builder.sbom.licences import rules_digest
from builder.sbom.model import Inventory
from builder.sbom.policy import obey_policy

_LICENCES = PurePosixPath("/usr/share/licenses")
_COPYRIGHT = {PackageFormat.DEB: "copyright", PackageFormat.RPM: "COPYING"}


class Request(Protocol):
    """What documents need of a request to pack."""

    @property
    def fmt(self) -> PackageFormat: ...

    @property
    def epoch(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Documents:
    """The files by their places in the package, and what the package says its licence is."""

    files: Mapping[PurePosixPath, Path]
    licence: str


def documents_key() -> list[object]:
    """Return what identifies the way that documents are made."""
    return [FORMAT, rules_digest(), *texts_digest()]


def write_documents(
    plan: PackagePlan, inventory: Inventory, request: Request, nfpm: Path, folder: Path
) -> Documents:
    """Write the documents of a package into ``folder``."""
    obey_policy(plan.name, inventory)
    fmt, own = request.fmt, plan.metadata.licence
    licence = package_licence(inventory, own)
    subject = _subject(plan, request, licence, nfpm)
    written = {
        SBOM_FILE: render_cyclonedx(inventory, subject),
        _COPYRIGHT[fmt]: render_copyright(inventory, plan.metadata),
    }
    for name, content in written.items():
        (folder / name).write_bytes(content)
    doc = doc_folder(plan)
    home = doc if fmt is PackageFormat.DEB else _LICENCES / plan.name
    files = {doc / SBOM_FILE: folder / SBOM_FILE, home / _COPYRIGHT[fmt]: folder / _COPYRIGHT[fmt]}
    if fmt is PackageFormat.RPM:
        # Debian has them in a place of its own; a copy would be against its policy.
        files |= {home / path.stem: path for path in licence_files(inventory, own)}
    return Documents(files=files, licence=licence)


def _subject(plan: PackagePlan, request: Request, licence: str, nfpm: Path) -> Subject:
    meta = plan.metadata
    return Subject(
        name=plan.name,
        version=meta.full_version,
        fmt=request.fmt,
        arch=request.fmt.arch_name(plan.arch),
        licence=licence,
        supplier=meta.vendor,
        description=meta.summary,
        epoch=request.epoch,
        tools=(("backendai-builder", __version__), ("nfpm", _nfpm_version(nfpm))),
    )


@functools.cache
def _nfpm_version(nfpm: Path) -> str:
    words = run([nfpm, "--version"], check=False).stdout
    found = re.search(r"GitVersion:\s*v?(\S+)", words)
    return found[1] if found else ""
