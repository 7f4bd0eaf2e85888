"""Finds the JavaScript packages in a wheel's web pages, by the source maps of the bundles.

A bundle says nothing of its parts; its map names the files it was made of, below the folders in
which pnpm and npm keep packages.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from builder.base.parse import TextError, parse_json
from builder.sbom.model import Part, PartKind

_VERSION = "**/static/version.json"
_STORE = re.compile(
    rb"/(?:links/(?P<scope>@[^/\"]*)/(?P<name>[^/\"]+)/(?P<version>[^/\"]+)/[0-9a-f]{16,}"
    rb"|\.pnpm/(?P<pnpm>[^/\"]+))/node_modules/"
)
_PNPM = re.compile(r"(?P<name>@?[^@]+)@(?P<version>[^_(]+).*")


def read_web_parts(site: Path, owner: str) -> Iterator[Part]:
    """Yield the web pages below ``site`` as one part that has the packages inside."""
    for path in sorted(site.glob(_VERSION)):
        version = _version_of(path)
        packages = sorted(_packages(path.parent))
        yield Part(
            ref=f"wheel:{owner}/webui",
            kind=PartKind.LIBRARY,
            name="backend.ai-webui",
            version=version,
            purl=f"pkg:github/lablup/backend.ai-webui@v{version}" if version else "",
            source="static/version.json of the wheel",
            parts=tuple(_npm_part(name, number, owner) for name, number in packages),
        )


def _version_of(path: Path) -> str:
    try:
        table = parse_json(path.read_bytes())
    except TextError:
        return ""
    version = table.get("package") if isinstance(table, dict) else None
    return version if isinstance(version, str) else ""


def _packages(folder: Path) -> set[tuple[str, str]]:
    """Return name and version of each package that a source map below ``folder`` names."""
    found: set[tuple[str, str]] = set()
    for path in folder.rglob("*.map"):
        # As bytes: they are 50 MB, most of it the sources themselves.
        for match in {match.groups() for match in _STORE.finditer(path.read_bytes())}:
            scope, name, version, pnpm = (group.decode() if group else "" for group in match)
            if pnpm:
                parsed = _PNPM.fullmatch(pnpm.replace("+", "/"))
                if parsed:
                    found.add((parsed["name"], parsed["version"]))
            else:
                found.add((name if scope == "@" else f"{scope}/{name}", version))
    return found


def _npm_part(name: str, version: str, owner: str) -> Part:
    purl = f"pkg:npm/{quote(name, safe='/')}@{quote(version)}"
    return Part(
        ref=f"wheel:{owner}/{purl}",
        kind=PartKind.LIBRARY,
        name=name,
        version=version,
        purl=purl,
        source="the source maps of the wheel",
    )
