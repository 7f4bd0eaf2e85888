"""Runs in a service's environment: prints what is wrong with what is installed there.

Every distribution is there once, has a name and a version, came from no URL, each file of its
RECORD exists with the hash it states, and what it requires is there. Each module has bytecode.
"""

import base64
import collections
import hashlib
import importlib
import importlib.metadata
import importlib.util
import re
import sys
from pathlib import Path


def problems_of(distribution: importlib.metadata.Distribution) -> list[str]:
    """What is wrong with one distribution."""
    name = distribution.metadata["Name"]
    if not name or not distribution.version:
        return [f"{distribution}: no name or no version"]
    if distribution.read_text("direct_url.json"):
        return [f"{name}: has a direct_url.json"]
    if not distribution.files:
        return [f"{name}: has no RECORD"]
    found = []
    for file in distribution.files:
        path = Path(str(file.locate()))
        if not path.exists():
            found.append(f"{name}: {file} is missing")
        elif file.hash is not None:
            digest = hashlib.new(file.hash.mode, path.read_bytes()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
                found.append(f"{name}: {file} is not what RECORD says")
    return found


def unmet(distribution: importlib.metadata.Distribution, versions: dict[str, str]) -> list[str]:
    """What one distribution requires and does not find: as `pip check`, which is not there."""
    requirement = importlib.import_module("packaging.requirements").Requirement
    found = []
    for text in distribution.requires or []:
        wanted = requirement(text)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        version = versions.get(plain(wanted.name))
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            found.append(f"{distribution.metadata['Name']}: requires {text}, found {version}")
    return found


def without_bytecode() -> list[str]:
    """The modules whose bytecode no archive has, except for those that are no Python."""
    loader = importlib.import_module("_backendai_bytecode")
    found = []
    for site in (folder for folder in sys.path if folder.endswith("/site-packages")):
        archived = loader.places(site)
        for source in Path(site).rglob("*.py"):
            cached = Path(importlib.util.cache_from_source(source))
            if str(cached.relative_to(site)) in archived:
                found += [f"{cached}: beside the archive"] * cached.exists()
            elif not cached.exists() and _compiles(source):
                found.append(f"{source}: has no bytecode")
        found += [f"{path}: of no source" for path in Path(site).rglob("*/__pycache__/*")]
    return found


def _compiles(source: Path) -> bool:
    try:
        compile(source.read_bytes(), source, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def plain(name: str) -> str:
    """A distribution's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Check them all."""
    installed = list(importlib.metadata.distributions())
    names = collections.Counter(plain(item.metadata["Name"] or "?") for item in installed)
    versions = {plain(item.metadata["Name"]): item.version for item in installed}
    lines = [f"{name}: installed {count} times" for name, count in names.items() if count > 1]
    for distribution in installed:
        lines += problems_of(distribution) + unmet(distribution, versions)
    lines += without_bytecode()
    sys.stdout.write("\n".join([*lines, f"checked {len(installed)}", ""]))


main()
