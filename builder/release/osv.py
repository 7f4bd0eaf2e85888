"""Known vulnerabilities of distributions, from a snapshot of OSV's records.

A snapshot is what OSV publishes for the ecosystem PyPI: a ZIP of JSON files, the same
unpacked as a folder, or one JSON file with a list. https://ossf.github.io/osv-schema/
"""

import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from builder.base.errors import UsageError
from builder.base.parse import TextError, parse_json

_ECOSYSTEM = "PyPI"
_LIMIT = 16 << 20  # bytes of one record


@dataclass(frozen=True, kw_only=True)
class Vulnerability:
    """One record, as far as it is about one distribution."""

    name: str  # of its database
    aliases: tuple[str, ...]
    summary: str
    fixed: tuple[str, ...]  # versions in which it is fixed

    @property
    def shown(self) -> str:
        """The names, with a CVE first, and the summary."""
        names = sorted(
            {self.name, *self.aliases}, key=lambda name: (not name.startswith("CVE-"), name)
        )
        return f"{', '.join(names)}: {self.summary or 'no summary'}"


class Snapshot:
    """The records of a snapshot by distribution."""

    def __init__(self, records: Iterator[Any]) -> None:
        self._affected: defaultdict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]]
        self._affected = defaultdict(list)
        for record in records:
            if not isinstance(record, dict) or record.get("withdrawn"):
                continue
            for affected in record.get("affected") or ():
                package = affected.get("package") or {}
                if package.get("ecosystem") == _ECOSYSTEM:
                    name = canonicalize_name(str(package.get("name", "")))
                    self._affected[name].append((record, affected))

    def __len__(self) -> int:
        return len(self._affected)

    def find(self, distribution: str, version: str) -> list[Vulnerability]:
        """Return the known vulnerabilities of a version, sorted by name."""
        found = {
            record["id"]: Vulnerability(
                name=str(record["id"]),
                aliases=tuple(map(str, record.get("aliases") or ())),
                summary=" ".join(str(record.get("summary") or "").split()),
                fixed=tuple(_fixed(affected)),
            )
            for record, affected in self._affected.get(canonicalize_name(distribution), ())
            if _affects(affected, version)
        }
        return without_twins([found[name] for name in sorted(found)])


def load_snapshot(path: Path) -> Snapshot:
    """Load a snapshot; raises UsageError if it is none."""
    try:
        snapshot = Snapshot(_records(path))
    except (OSError, zipfile.BadZipFile, TextError, AttributeError, TypeError) as error:
        raise UsageError(f"cannot read the OSV snapshot {path}: {error}") from error
    if not len(snapshot):
        raise UsageError(
            f"{path} has no record of PyPI",
            hint="give the ZIP that OSV publishes for PyPI, or a folder of its JSON files",
        )
    return snapshot


def read_records(path: Path) -> Iterator[Any]:
    """Yield the records of a snapshot, of any ecosystem; raises UsageError if it is none."""
    try:
        yield from _records(path)
    except (OSError, zipfile.BadZipFile, TextError) as error:
        raise UsageError(f"cannot read the OSV snapshot {path}: {error}") from error


def _records(path: Path) -> Iterator[Any]:
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield parse_json(file.read_bytes())
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename.endswith(".json") and member.file_size <= _LIMIT:
                    yield parse_json(archive.read(member))
    else:
        content = parse_json(path.read_bytes())
        yield from content if isinstance(content, list) else [content]


def _affects(affected: Mapping[str, Any], version: str) -> bool:
    if version in (affected.get("versions") or ()):
        return True
    return any(
        _in_range(found.get("events") or (), version)
        for found in affected.get("ranges") or ()
        if found.get("type") == "ECOSYSTEM"
    )


def _in_range(events: Sequence[Mapping[str, Any]], version: str) -> bool:
    """Return whether a version lies in a range, by the schema's own algorithm."""
    try:
        wanted = Version(version)
        order = sorted(
            (_place(str(value)), kind, str(value))
            for event in events
            for kind, value in event.items()
        )
    except InvalidVersion:
        return False  # such a range lists its versions, too
    inside = False
    for place, kind, _ in order:
        if kind == "introduced" and wanted >= place:
            inside = True
        elif (kind == "fixed" and wanted >= place) or (kind == "last_affected" and wanted > place):
            inside = False
    return inside


def _place(value: str) -> Version:
    return Version("0.dev0" if value == "0" else value)


def _fixed(affected: Mapping[str, Any]) -> Iterator[str]:
    for found in affected.get("ranges") or ():
        if found.get("type") == "ECOSYSTEM":
            yield from (str(e["fixed"]) for e in found.get("events") or () if "fixed" in e)


def without_twins(found: Sequence[Vulnerability]) -> list[Vulnerability]:
    """Return each vulnerability once: databases have records of the same, as aliases."""
    kept: list[Vulnerability] = []
    known: set[str] = set()
    for vulnerability in found:
        names = {vulnerability.name, *vulnerability.aliases}
        if not names & known:
            kept.append(vulnerability)
        known |= names
    return kept
