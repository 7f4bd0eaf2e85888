"""Writes a CycloneDX document of ours as SPDX 2.3. Pure."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_DOCUMENT = "SPDXRef-DOCUMENT"
_NO_WORD = "NOASSERTION"
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
_REFERENCE = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
_PURPOSE = {"application": "APPLICATION", "file": "FILE", "platform": "FRAMEWORK"}

Table = Mapping[str, Any]


def render_spdx(document: Table) -> bytes:
    """Return the same facts as SPDX 2.3 in JSON; the same document gives the same bytes."""
    root = document["metadata"]["component"]
    components = [root, *_walk(document.get("components", []))]
    tools = document["metadata"]["tools"]["components"]
    table = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": f"{root['name']}-{root['version']}",
        "documentNamespace": document["serialNumber"],
        "creationInfo": {
            "created": document["metadata"]["timestamp"].replace("+00:00", "Z"),
            "creators": [f"Tool: {tool['name']}-{tool.get('version', '')}" for tool in tools],
        },
        "packages": [_package(component) for component in components],
        "relationships": list(_relationships(document, root)),
        "hasExtractedLicensingInfos": _own_licences(components),
    }
    return (json.dumps(table, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _walk(components: list[Table]) -> Iterator[Table]:
    for component in components:
        yield component
        yield from _walk(component.get("components", []))


def _package(component: Table) -> dict[str, object]:
    package: dict[str, object] = {
        "SPDXID": _id(component["bom-ref"]),
        "name": component["name"],
        "downloadLocation": _origin(component),
        "filesAnalyzed": False,
        "licenseConcluded": _NO_WORD,
        "licenseDeclared": _licence(component) or _NO_WORD,
        "copyrightText": _NO_WORD,
        "primaryPackagePurpose": _PURPOSE.get(component["type"], "LIBRARY"),
        "externalRefs": list(_external(component)),
        "checksums": [
            {"algorithm": row["alg"].replace("-", ""), "checksumValue": row["content"]}
            for row in component.get("hashes", [])
        ],
    }
    if component.get("version"):
        package["versionInfo"] = component["version"]
    return package


def _id(ref: str) -> str:
    """Return an identifier that SPDX allows; the hash keeps two refs apart."""
    digest = hashlib.sha256(ref.encode()).hexdigest()[:12]
    return f"SPDXRef-{_UNSAFE.sub('-', ref)}-{digest}"


def _origin(component: Table) -> str:
    rows = component.get("externalReferences", [])
    return next((row["url"] for row in rows if row["type"] == "distribution"), _NO_WORD)


def _licence(component: Table) -> str:
    return next((row.get("expression", "") for row in component.get("licenses", [])), "")


def _external(component: Table) -> Iterator[dict[str, str]]:
    kinds = (("purl", "PACKAGE-MANAGER", "purl"), ("cpe", "SECURITY", "cpe23Type"))
    for key, category, kind in kinds:
        if component.get(key):
            yield {
                "referenceCategory": category,
                "referenceType": kind,
                "referenceLocator": component[key],
            }


def _relationships(document: Table, root: Table) -> Iterator[dict[str, str]]:
    yield _relation(_DOCUMENT, "DESCRIBES", _id(root["bom-ref"]))
    for component in document.get("components", []):
        yield _relation(_id(root["bom-ref"]), "CONTAINS", _id(component["bom-ref"]))
    for outer in _walk(document.get("components", [])):
        for inner in outer.get("components", []):
            yield _relation(_id(outer["bom-ref"]), "CONTAINS", _id(inner["bom-ref"]))
    for row in document.get("dependencies", []):
        for word in row.get("dependsOn", []):
            yield _relation(_id(row["ref"]), "DEPENDS_ON", _id(word))


def _relation(subject: str, kind: str, other: str) -> dict[str, str]:
    return {
        "spdxElementId": subject,
        "relationshipType": kind,
        "relatedSpdxElement": other,
    }


def _own_licences(components: list[Table]) -> list[dict[str, str]]:
    """Describe the licences that SPDX has no name for."""
    named = {name for component in components for name in _REFERENCE.findall(_licence(component))}
    return [
        {
            "licenseId": name,
            "name": name.removeprefix("LicenseRef-"),
            "extractedText": "The metadata of the part names this licence and has no text of it.",
        }
        for name in sorted(named)
    ]
