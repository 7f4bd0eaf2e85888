"""Records of known vulnerabilities, as OSV publishes them: a ZIP, a folder or a JSON file.

https://ossf.github.io/osv-schema/
"""

import zipfile
from collections.abc import Iterator, Sequence
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
def reading_snapshot(path: Path) -> Iterator[None]:
    """Turn what shows that ``path`` is no snapshot into a UsageError."""
    try:
        yield
    except (OSError, zipfile.BadZipFile, TextError, AttributeError, TypeError) as error:
        raise UsageError(f"cannot read the OSV snapshot {path}: {error}") from error


def read_records(path: Path) -> Iterator[Any]:
    """Yield the records of a snapshot; use it in ``reading_snapshot``."""
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
