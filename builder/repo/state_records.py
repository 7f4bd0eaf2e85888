"""Rows of the state as packages, whose records are read only when they are needed."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

from builder.base.model import PackageFormat
from builder.inspect.deb822 import decode, encode, is_utf8
from builder.repo.model import DebRecord, IndexRecord, RepoPackage, RpmRecord

Load = Callable[[str], IndexRecord]  # the record of the package with this sha256


class _StoredDeb(DebRecord):
    """A record that is read at each use: those of all packages would fill the memory."""

    def __init__(self, sha256: str, load: Load) -> None:
        object.__setattr__(self, "_read", lambda: load(sha256))

    @property
    def control(self) -> str:
        return str(self._read().control)  # type: ignore[attr-defined]


class _StoredRpm(RpmRecord):
    """Likewise."""

    def __init__(self, sha256: str, load: Load) -> None:
        object.__setattr__(self, "_read", lambda: load(sha256))

    @property
    def primary(self) -> str:
        return str(self._read().primary)  # type: ignore[attr-defined]

    @property
    def other(self) -> str:
        return str(self._read().other)  # type: ignore[attr-defined]


def stored_package(row: Sequence[str], load: Load) -> RepoPackage:
    """Return the package of a row of the state."""
    fmt, name, version, arch, component, file, pool, sha256, size, added = row
    stored = _StoredDeb if fmt == PackageFormat.DEB else _StoredRpm
    return RepoPackage(
        name=name,
        version=version,
        arch=arch,
        component=component,
        file=file,
        pool=PurePosixPath(pool),
        sha256=sha256,
        size=int(size),
        added=datetime.fromisoformat(added).astimezone(UTC),
        record=stored(sha256, load),
    )


def record_text(record: IndexRecord) -> str | bytes:
    """Return a record as the state keeps it."""
    match record:
        case DebRecord():
            # SQLite keeps text as UTF-8; a package may hold bytes that are not UTF-8.
            data = encode(record.control)
            return record.control if is_utf8(data) else data
        case RpmRecord():
            return json.dumps({"primary": record.primary, "other": record.other})


def parse_record(fmt: PackageFormat, text: str | bytes) -> IndexRecord:
    """Return the record that :func:`record_text` made a text of."""
    match fmt:
        case PackageFormat.DEB:
            return DebRecord(control=decode(text) if isinstance(text, bytes) else text)
        case PackageFormat.RPM:
            return RpmRecord(**json.loads(text))
