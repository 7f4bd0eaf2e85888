"""Records of known vulnerabilities, as OSV publishes them: a ZIP, a folder or a JSON file.

https://ossf.github.io/osv-schema/
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.base.errors import UsageError
from builder.base.parse import TextError, parse_json

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


@contextmanager
def reading_snapshot(path: Path, label: str = "") -> Iterator[None]:
    """Turn what shows that ``path`` is no snapshot into a UsageError, in which it is ``label``."""
    try:
        yield
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, TextError) as error:
        raise UsageError(f"cannot read the OSV snapshot {label or path}: {error}") from error


def read_records(path: Path) -> Iterator[Any]:
    """Yield the records of a snapshot; use it in ``reading_snapshot``.

    Raises TextError for one that has not the form that is relied on: a record that cannot be
    read must not count as one that is about nothing.
    """
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield _record(parse_json(file.read_bytes()), file.name)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename.endswith(".json"):
                    if member.file_size > _LIMIT:
                        raise TextError(f"{member.filename} is longer than {_LIMIT} bytes")
                    yield _record(parse_json(archive.read(member)), member.filename)
    else:
        content = parse_json(path.read_bytes())
        for record in content if isinstance(content, list) else [content]:
            yield _record(record, "")


def _record(record: object, file: str) -> dict[str, Any]:
    """Return a record if it has the form of one; ``file`` is where it is in the snapshot."""
    inside = f" in {file}" if file else ""
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        raise TextError(f"a record{inside} has no id")
    try:
        for key in ("aliases", "upstream"):
            _listed(record, key, str)
        for affected in _listed(record, "affected", dict):
            _check_affected(affected)
    except TextError as error:
        raise TextError(f"the record {record['id']} is not as it should be: {error}") from error
    return record


def _check_affected(affected: Mapping[str, Any]) -> None:
    _listed(affected, "versions", str)
    for found in _listed(affected, "ranges", dict):
        _listed(found, "events", dict)
    if not isinstance(affected.get("package") or {}, dict):
        raise TextError("'package' is no object")


def _listed(table: Mapping[str, Any], key: str, kind: type) -> list[Any]:
    """Return the list at ``key``, which may be absent."""
    found = table.get(key) or []
    if not isinstance(found, list) or not all(isinstance(item, kind) for item in found):
        raise TextError(f"'{key}' is no list of {kind.__name__}")
    return found


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
