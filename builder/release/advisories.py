"""Finds known vulnerabilities of the parts that an SBOM names, in a snapshot of OSV's records.

Each part is looked up as its own ecosystem knows it: wheels in PyPI, crates in crates.io,
JavaScript in npm, libraries that were bundled from Debian's packages in Debian's own records,
which know its fixes. CPython and libraries without a package are found by the tags of their
repositories.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from builder.base.model import PackageFormat
from builder.release.records import Vulnerability, without_twins
from builder.repo.version import deb_key
from builder.sbom.cyclonedx import VENDOR
from builder.sbom.runtime import library_facts

Key = tuple[str, str]  # of records: ecosystem and name, or "repository" and its path
PYPI = "PyPI"
_REPOSITORY = "repository"
_ECOSYSTEMS = {"pypi": PYPI, "cargo": "crates.io", "npm": "npm"}
_CPYTHON = "python/cpython"
_TAG = re.compile(r"\d+(?:[._]\d+)+[a-z]?$")


@dataclass(frozen=True, kw_only=True)
class Component:
    """A part, as OSV's records may know it."""

    name: str
    version: str
    key: Key
    order: Callable[[str], Any] | None  # of versions; None: only listed versions count
    owner: str  # the part around it, or the package

    @property
    def shown(self) -> str:
        """The part for people."""
        inside = f" in {self.owner}" if self.owner else ""
        return f"{self.name} {self.version}{inside}"


def components_of(document: Mapping[str, Any]) -> Iterator[Component]:
    """Yield the package of a CycloneDX document, and every part that a record could be about."""
    metadata = document.get("metadata")
    package = metadata.get("component") if isinstance(metadata, dict) else None
    yield from _walk([package], "")
    yield from _walk(document.get("components"), "")


def wheel_component(distribution: str, version: str) -> Component:
    """Return the part that a wheel is."""
    key = (_ECOSYSTEMS["pypi"], canonicalize_name(distribution))
    return Component(name=distribution, version=version, key=key, order=_pep440, owner="")


def _walk(rows: object, owner: str) -> Iterator[Component]:
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        found = _component(row, owner)
        if found is not None:
            yield found
        yield from _walk(row.get("components"), str(row.get("name", "")))


def _component(row: Mapping[str, Any], owner: str) -> Component | None:
    kind, _, rest = str(row.get("purl", "")).removeprefix("pkg:").partition("/")
    path, _, words = rest.partition("?")
    name, _, version = path.rpartition("@")
    if not name or not version:
        return None
    qualifiers = dict(parse_qsl(words))
    shown = str(row.get("name", ""))
    order: Callable[[str], Any] | None
    if kind in _ECOSYSTEMS:
        plain = unquote(name)
        named = canonicalize_name(plain) if kind == "pypi" else plain
        key, order = (_ECOSYSTEMS[kind], named), _pep440
    elif kind == "deb" and name.startswith("debian/") and "distro" in qualifiers:
        release = qualifiers["distro"].rpartition("-")[2]
        key, order = (f"Debian:{release}", _debian_source(shown)), deb_key
    elif kind in tuple(PackageFormat) and name.startswith(f"{VENDOR}/"):
        key, order = ("Debian", name.partition("/")[2]), deb_key
    elif _repository(shown):
        key, order = (_REPOSITORY, _repository(shown)), None
    else:
        return None
    return Component(name=shown, version=unquote(version), key=key, order=order, owner=owner)


def _debian_source(name: str) -> str:
    """Return Debian's source package of a library that components.toml knows."""
    found = (facts.debian for facts in library_facts() if facts.name == name)
    return next(filter(None, found), name)


def _repository(name: str) -> str:
    if name == "CPython":
        return _CPYTHON
    found = (facts.repository for facts in library_facts() if facts.name == name)
    return next(filter(None, found), "")


def _pep440(version: str) -> Version:
    """Return the place of a version; semantic versions that occur are in PEP 440's grammar."""
    return Version("0.dev0" if version == "0" else version)


class Advisories:
    """The records of a snapshot, by what they are about."""

    def __init__(self, records: Iterator[Any]) -> None:
        self._about: defaultdict[Key, list[tuple[Mapping[str, Any], Mapping[str, Any]]]]
        self._about = defaultdict(list)
        self.add(records)

    def add(self, records: Iterator[Any]) -> None:
        """Take the records of one more snapshot, as :func:`read_records` yields them."""
        for record in records:
            if isinstance(record, dict) and "id" in record and not record.get("withdrawn"):
                for affected in record.get("affected") or ():
                    for key in _keys(affected):
                        self._about[key].append((record, affected))

    def __len__(self) -> int:
        return len(self._about)

    def count(self, ecosystem: str) -> int:
        """Return how many names of an ecosystem have records."""
        return sum(kind == ecosystem for kind, _ in self._about)

    def find(self, component: Component) -> list[Vulnerability]:
        """Return the known vulnerabilities of a part, sorted by name."""
        found = {}
        for record, affected in self._about.get(component.key, ()):
            if _affects(affected, component):
                name = str(record["id"])
                found[name] = Vulnerability(
                    name=name,
                    # What a distributor's record is about it names as upstream's.
                    aliases=tuple(
                        str(alias)
                        for kind in ("aliases", "upstream")
                        for alias in record.get(kind) or ()
                    ),
                    summary=" ".join(str(record.get("summary") or "").split()),
                    fixed=tuple(dict.fromkeys(_fixed(affected))),
                )
        return without_twins([found[name] for name in sorted(found)])


def _keys(affected: Mapping[str, Any]) -> Iterator[Key]:
    package = affected.get("package") or {}
    ecosystem, name = str(package.get("ecosystem", "")), str(package.get("name", ""))
    if ecosystem:
        yield ecosystem, canonicalize_name(name) if ecosystem == "PyPI" else name
    for found in affected.get("ranges") or ():
        path = str(found.get("repo", "")).removesuffix(".git").rstrip("/")
        if found.get("type") == "GIT" and path:
            yield _REPOSITORY, "/".join(path.split("/")[-2:]).lower()


def _affects(affected: Mapping[str, Any], component: Component) -> bool:
    listed = affected.get("versions") or ()
    if component.version in listed:
        return True
    if component.order is None:
        return any(_version_of_tag(str(tag)) == component.version for tag in listed)
    return any(
        _in_range(found.get("events") or (), component)
        for found in affected.get("ranges") or ()
        if found.get("type") in ("ECOSYSTEM", "SEMVER")
    )


def _version_of_tag(tag: str) -> str:
    """Return the version in a tag: of v3.13.15, openssl-3.0.19, R_2_8_2."""
    match = _TAG.search(tag)
    return match[0].replace("_", ".") if match else ""


def _in_range(events: Sequence[Mapping[str, Any]], component: Component) -> bool:
    """Return whether the version lies in a range, by the schema's own algorithm."""
    assert component.order is not None
    try:
        wanted = component.order(component.version)
        order = [
            (component.order(str(value)), kind) for event in events for kind, value in event.items()
        ]
    except InvalidVersion:
        return False  # such a range lists its versions, too
    inside = False
    for place, kind in sorted(order, key=lambda pair: pair[0]):
        if kind == "introduced" and not wanted < place:
            inside = True
        elif (kind == "fixed" and not wanted < place) or (
            kind == "last_affected" and place < wanted
        ):
            inside = False
    return inside


def _fixed(affected: Mapping[str, Any]) -> Iterator[str]:
    for found in affected.get("ranges") or ():
        if found.get("type") in ("ECOSYSTEM", "SEMVER"):
            yield from (str(e["fixed"]) for e in found.get("events") or () if "fixed" in e)
