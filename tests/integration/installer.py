"""Compares what the release's own installer leaves behind with what the packages leave.

What is random or a time has no part in it: an id that only one side has is known by the
row that it belongs to.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
# Ids that name others: each round sees one reference farther.
_ROUNDS = 4
_BEGIN = 8
Table = Mapping[str, Any]
Row = dict[str, Any]
Groups = dict[str, Row]  # the leaves of each row and file


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One place, and what each side has there; None where it has nothing."""

    where: str  # database/TABLE/ROW/COLUMN, etcd/KEY or files/NAME/KEY
    theirs: str | None
    ours: str | None

    def __str__(self) -> str:
        """Without the values: a CI keeps what a test prints, and some are secrets."""
        if self.ours is None:
            return f"{self.where}: only the installer has it"
        if self.theirs is None:
            return f"{self.where}: only the packages have it"
        return f"{self.where}: another value"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why places that match a pattern may differ."""

    where: str
    reason: str

    def fits(self, difference: Difference) -> bool:
        """Whether it is about ``difference``."""
        return fnmatchcase(difference.where, self.where)


@dataclass(frozen=True, kw_only=True)
class Known:
    """The differences that somebody has looked at, and how rows are distinguished."""

    reasons: tuple[Reason, ...]
    keys: Mapping[str, Sequence[str]]

    @classmethod
    def load(cls, path: Path) -> "Known":
        """Read the data; a KeyError names what a reason lacks."""
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        reasons = tuple(Reason(**item) for item in table["difference"])
        return cls(reasons=reasons, keys=table.get("keys", {}))

    def problems(self, found: Sequence[Difference]) -> list[str]:
        """Differences without a reason, and reasons without a difference."""
        new = [
            str(difference)
            for difference in found
            if not any(reason.fits(difference) for reason in self.reasons)
        ]
        stale = [
            f"{reason.where}: no difference there any more"
            for reason in self.reasons
            if not any(reason.fits(difference) for difference in found)
        ]
        return new + stale


def compare(theirs: Table, ours: Table, keys: Mapping[str, Sequence[str]]) -> list[Difference]:
    """Every difference between two dumps of data/installer_trial.py, sorted by its place.

    A row or file that only one side has is one difference.
    """
    common = _ids(theirs["rows"]) & _ids(ours["rows"])
    sides = [_groups(side, common, keys) for side in (theirs, ours)]
    found: list[Difference] = []
    for head in sorted(sides[0].keys() | sides[1].keys()):
        left, right = (side.get(head) for side in sides)
        if left is None or right is None:
            shown = [None if side is None else "has it" for side in (left, right)]
            found.append(Difference(where=head, theirs=shown[0], ours=shown[1]))
            continue
        for key in sorted(left.keys() | right.keys()):
            if left.get(key, _ABSENT) != right.get(key, _ABSENT):
                where = f"{head}/{key}" if head else key
                found.append(
                    Difference(where=where, theirs=_text(left, key), ours=_text(right, key))
                )
    return found


_ABSENT = object()


def _groups(side: Table, common: set[str], keys: Mapping[str, Sequence[str]]) -> Groups:
    """Files and rows with their leaves; etcd's keys are all in one."""
    groups: Groups = {"": {f"etcd{key}": value for key, value in side["etcd"].items()}}
    groups |= {f"files/{name}": dict(lines) for name, lines in side["files"].items()}
    return groups | dict(_rows(side["rows"], common, keys))


def _text(side: Mapping[str, object], key: str) -> str | None:
    return json.dumps(side[key]) if key in side else None


def _ids(tables: Table) -> set[str]:
    return set(_UUID.findall(json.dumps(tables)))


def _rows(
    tables: Table, common: set[str], keys: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Row]]:
    labels = _labels(tables, common)
    for name, table in tables.items():
        seen: dict[str, int] = {}
        shown = [_substitute(row, common, labels) for row in table["rows"]]
        for row in sorted(shown, key=lambda row: json.dumps(row, sort_keys=True)):
            key = "+".join(str(row[column]) for column in keys.get(name, table["key"]))
            seen[key] = seen.get(key, 0) + 1
            key += f"#{seen[key]}" if seen[key] > 1 else ""
            yield f"database/{name}/{key}", row


def _labels(tables: Table, common: set[str]) -> dict[str, str]:
    """For each id of one side alone a name that the other side gives to the same row."""
    labels: dict[str, str] = {}
    for _ in range(_ROUNDS):
        found: dict[str, str] = {}
        for name, table in tables.items():
            if len(table["key"]) != 1:
                continue
            (column,) = table["key"]
            for row in table["rows"]:
                own = str(row[column])
                if _UUID.fullmatch(own) and own not in common:
                    rest = {key: value for key, value in row.items() if key != column}
                    text = json.dumps(_substitute(rest, common, labels), sort_keys=True)
                    found[own] = f"({name} {hashlib.sha256(text.encode()).hexdigest()[:8]})"
        labels = found
    return labels


def _substitute(row: Row, common: set[str], labels: Mapping[str, str]) -> Row:
    def put(match: re.Match[str]) -> str:
        text = match[0]
        return text if text in common else labels.get(text, "(id)")

    # A name that is made of an id ends with its first digits.
    begins = {text[:_BEGIN] for text in labels}

    shown: Row = {}
    for column, value in row.items():
        if isinstance(value, str) and _TIME.match(value):
            shown[column] = "(time)"
        elif isinstance(value, str) and value[-_BEGIN:] in begins:
            shown[column] = f"{value[:-_BEGIN]}(id)"
        else:
            shown[column] = json.loads(_UUID.sub(put, json.dumps(value)))
    return shown
