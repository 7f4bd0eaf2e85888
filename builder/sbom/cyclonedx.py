"""Writes an inventory as a CycloneDX document: the same inventory, the same bytes."""

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from builder.base.cache import key_of
from builder.base.lazy import LazyModule
from builder.base.model import PackageFormat
from builder.sbom.licences import licence_of
from builder.sbom.model import Inventory, Part, PartKind

if TYPE_CHECKING:
    import packageurl
    from cyclonedx import model as cdx
    from cyclonedx.model import bom as cdx_bom
    from cyclonedx.model import component as cdx_component
    from cyclonedx.model import dependency as cdx_dependency
    from cyclonedx.model import license as cdx_license
    from cyclonedx.output import json as cdx_json
else:
    packageurl = LazyModule("packageurl")
    cdx = LazyModule("cyclonedx.model")
    cdx_bom = LazyModule("cyclonedx.model.bom")
    cdx_component = LazyModule("cyclonedx.model.component")
    cdx_dependency = LazyModule("cyclonedx.model.dependency")
    cdx_license = LazyModule("cyclonedx.model.license")
    cdx_json = LazyModule("cyclonedx.output.json")

FORMAT = 2  # of the documents; raise it when this room writes others
_ROOT = "package"
_NAMESPACE = uuid.UUID("3e6f2f6b-6a55-5c77-8f0e-3a1d6a3a9c52")  # of our serial numbers
VENDOR = "backendai"  # in the URLs of our packages


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The package that a document is about, and what made it."""

    name: str
    version: str  # with the revision
    fmt: PackageFormat
    arch: str  # by the format's own name
    licence: str
    supplier: str
    description: str
    epoch: int
    tools: tuple[tuple[str, str], ...]  # names and versions

    @property
    def purl(self) -> str:
        """The package URL."""
        return package_purl(self.fmt, self.name, self.version, self.arch)


def package_purl(fmt: PackageFormat, name: str, version: str = "", arch: str = "") -> str:
    """Return the package URL of a package of the release."""
    at = f"@{quote(version, safe='')}" if version else ""
    return f"pkg:{fmt.value}/{VENDOR}/{name}{at}{f'?arch={arch}' if arch else ''}"


def render_cyclonedx(inventory: Inventory, subject: Subject) -> bytes:
    """Return the document, CycloneDX 1.6 in JSON.

    Its serial number follows from what is in it, its time is SOURCE_DATE_EPOCH.
    """
    bom = cdx_bom.Bom(
        serial_number=_NAMESPACE,  # until the content is known
        components=[_component(part, subject.fmt) for part in inventory.parts],
        dependencies=_dependencies(inventory),
    )
    bom.metadata.timestamp = datetime.fromtimestamp(subject.epoch, UTC)
    bom.metadata.component = _root(subject)
    bom.metadata.supplier = _organisation(subject.supplier)
    bom.metadata.tools.components.update(_tools(subject.tools))
    text = cdx_json.JsonV1Dot6(bom).output_as_string()
    # The library's order of keys and of lists is its own affair: sorted, it is nobody's.
    document = json.loads(text)
    document["serialNumber"] = uuid.uuid5(_NAMESPACE, key_of(document)).urn
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _root(subject: Subject) -> "cdx_component.Component":
    return cdx_component.Component(
        name=subject.name,
        version=subject.version,
        type=cdx_component.ComponentType.APPLICATION,
        bom_ref=_ROOT,
        purl=packageurl.PackageURL.from_string(subject.purl),
        description=subject.description,
        supplier=_organisation(subject.supplier),
        licenses=_licences(subject.licence),
    )


def _organisation(name: str) -> "cdx.contact.OrganizationalEntity":
    return cdx.contact.OrganizationalEntity(name=name)


def _tools(tools: Iterable[tuple[str, str]]) -> Iterator["cdx_component.Component"]:
    for name, version in tools:
        yield cdx_component.Component(
            name=name,
            version=version,
            type=cdx_component.ComponentType.APPLICATION,
            bom_ref=f"tool:{name}",
        )


def _component(part: Part, fmt: PackageFormat) -> "cdx_component.Component":
    purl = package_purl(fmt, part.name) if part.kind is PartKind.PACKAGE else part.purl
    return cdx_component.Component(
        name=part.name,
        version=part.version or None,
        type=_type(part.kind),
        bom_ref=part.ref,
        purl=packageurl.PackageURL.from_string(purl) if purl else None,
        cpe=part.cpe or None,
        hashes=[cdx.HashType(alg=cdx.HashAlgorithm.SHA_256, content=part.sha256)]
        if part.sha256
        else [],
        licenses=_licences(licence_of(part)),
        external_references=_references(part),
        properties=list(_properties(part)),
        components=[_component(inner, fmt) for inner in part.parts],
    )


def _type(kind: PartKind) -> "cdx_component.ComponentType":
    types = cdx_component.ComponentType
    named = {
        PartKind.RUNTIME: types.PLATFORM,
        PartKind.FILE: types.FILE,
        PartKind.PACKAGE: types.APPLICATION,
    }
    return named.get(kind, types.LIBRARY)


def _licences(expression: str) -> list["cdx_license.LicenseExpression"]:
    return [cdx_license.LicenseExpression(value=expression)] if expression else []


def _references(part: Part) -> list["cdx.ExternalReference"]:
    if not part.origin:
        return []
    kind = cdx.ExternalReferenceType.DISTRIBUTION
    return [cdx.ExternalReference(type=kind, url=cdx.XsUri(part.origin))]


def _properties(part: Part) -> Iterator["cdx.Property"]:
    if part.file:
        yield cdx.Property(name="backendai:file", value=part.file)
    if part.source:
        yield cdx.Property(name="backendai:source", value=part.source)


def _dependencies(inventory: Inventory) -> Iterator["cdx_dependency.Dependency"]:
    yield _dependency(_ROOT, inventory.requires)
    for part in inventory.all_parts():
        yield _dependency(part.ref, part.requires)


def _dependency(ref: str, needed: Iterable[str]) -> "cdx_dependency.Dependency":
    below = [cdx_dependency.Dependency(ref=_reference(word)) for word in needed]
    return cdx_dependency.Dependency(ref=_reference(ref), dependencies=below)


def _reference(ref: str) -> "cdx.bom_ref.BomRef":
    return cdx.bom_ref.BomRef(value=ref)
