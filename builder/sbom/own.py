"""Reads the SBOMs that wheels bring in their metadata (PEP 770): what is compiled into them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from builder.base.parse import TextError, parse_json
from builder.sbom.model import LicenceFacts, Part, PartKind

_SHA256 = "SHA-256"


def read_own_sboms(files: Iterable[Path], owner: str) -> Iterator[Part]:
    """Yield the parts that CycloneDX files name, each once; files of other forms are skipped."""
    seen: set[str] = set()
    for path in files:
        for component in _components(path):
            part = _part(component, path.name, owner)
            if part is None or part.ref in seen or _is_owner(part, owner):
                continue
            seen.add(part.ref)
            yield part


def _components(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        document = parse_json(path.read_bytes())
    except TextError:
        return
    if isinstance(document, dict) and document.get("bomFormat") == "CycloneDX":
        yield from _walk(document.get("components"))


def _walk(components: object) -> Iterator[Mapping[str, Any]]:
    for component in components if isinstance(components, list) else []:
        if isinstance(component, dict):
            yield component
            yield from _walk(component.get("components"))


def _part(component: Mapping[str, Any], file: str, owner: str) -> Part | None:
    name, version = _text(component.get("name")), _text(component.get("version"))
    if not name:
        return None
    purl = _plain_purl(_text(component.get("purl")))
    return Part(
        ref=f"wheel:{owner}/{purl or f'{name}@{version}'}",
        kind=PartKind.LIBRARY,
        name=name,
        version=version,
        purl=purl,
        cpe=_text(component.get("cpe")),
        sha256=_sha256(component.get("hashes")),
        source=f"the wheel's own {file}",
        licence=LicenceFacts(expression=_expression(component.get("licenses"))),
    )


def _is_owner(part: Part, owner: str) -> bool:
    return part.purl.startswith(f"pkg:pypi/{owner}@")


def _plain_purl(purl: str) -> str:
    """Return a package URL without what is true only where the wheel was built."""
    base, mark, qualifiers = purl.partition("?")
    kept = [word for word in qualifiers.split("&") if word and "=file:" not in word]
    return f"{base}{mark}{'&'.join(kept)}" if kept else base


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _rows(value: object) -> Sequence[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _sha256(hashes: object) -> str:
    found = (_text(row.get("content")) for row in _rows(hashes) if row.get("alg") == _SHA256)
    return next(found, "")


def _expression(licenses: object) -> str:
    words = []
    for row in _rows(licenses):
        named = row.get("license")
        named = named if isinstance(named, dict) else {}
        words.append(_text(row.get("expression")) or _text(named.get("id")))
    known = [word for word in words if word]
    return known[0] if len(known) == 1 else " AND ".join(f"({word})" for word in known)
