"""Rows of the state as packages, whose records are read only when they are needed."""

import functools
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

from builder.base.model import PackageFormat
from builder.inspect.deb822 import decode, encode, is_utf8
from builder.repo.model import DebRecord, IndexRecord, RepoPackage, RpmRecord

Load = Callable[[str], IndexRecord]  # the record of the package with this sha256


class _StoredDeb(DebRecord):
    """A record that is read at each use: those of all packages would fill the memory."""

    __slots__ = ("_load", "_sha256")

    def __init__(self, sha256: str, load: Load) -> None:
        object.__setattr__(self, "_sha256", sha256)
        object.__setattr__(self, "_load", load)

    @property
    def control(self) -> str:
        return str(self._load(self._sha256).control)  # type: ignore[attr-defined]


class _StoredRpm(RpmRecord):
    """Likewise."""

    __slots__ = ("_load", "_sha256")

    def __init__(self, sha256: str, load: Load) -> None:
        object.__setattr__(self, "_sha256", sha256)
        object.__setattr__(self, "_load", load)

    @property
    def primary(self) -> str:
        return str(self._load(self._sha256).primary)  # type: ignore[attr-defined]

    @property
    def other(self) -> str:
        return str(self._load(self._sha256).other)  # type: ignore[attr-defined]


def stored_package(row: Sequence[str], load: Load) -> RepoPackage:
    """Return the package of a row of the state.

    A publication holds all packages of a repository: what many of them say is held once.
    """
    fmt, name, version, arch, component, file, pool, sha256, size, added = row
    stored = _StoredDeb if fmt == PackageFormat.DEB else _StoredRpm
    place = PurePosixPath(pool)
    return RepoPackage(
        name=sys.intern(name),
        version=sys.intern(version),
        arch=sys.intern(arch),
        component=sys.intern(component),
        file=place.name if place.name == file else file,
        pool=place,
        sha256=sha256,
        size=int(size),
        added=_time(added),
        record=stored(sha256, load),
    )


@functools.lru_cache(maxsize=1 << 10)
def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


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
