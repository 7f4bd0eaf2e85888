"""The inventory of a package: everything in it that somebody else made."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

INVENTORY = "inventory.json"  # beside a stage's tree


class PartKind(StrEnum):
    """The kinds of parts."""

    WHEEL = "wheel"
    RUNTIME = "runtime"  # CPython
    LIBRARY = "library"  # inside of another part
    FILE = "file"  # a library of which only the file is known
    PACKAGE = "package"  # another package of the release, which this one depends on


@dataclass(frozen=True, kw_only=True)
class LicenceFacts:
    """What a part says about its licence, as it says it."""

    expression: str = ""  # SPDX, by its own word
    text: str = ""  # the first line of the field
    classifiers: tuple[str, ...] = ()
    files: tuple[str, ...] = ()  # of the licence, as paths in the package
    holders: tuple[str, ...] = ()  # of the copyright, as the texts name them
    # Whether its licence text forbids to use its names for endorsement: what tells BSD's two apart.
    endorsement: bool = False


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something inside of a package, and how others know it."""

    ref: str  # unique in the inventory
    kind: PartKind
    name: str
    version: str = ""
    purl: str = ""
    cpe: str = ""
    sha256: str = ""  # of the file it came as
    file: str = ""  # that file's name
    origin: str = ""  # the URL that file is published at
    source: str = ""  # where these facts are from
    licence: LicenceFacts = field(default_factory=LicenceFacts)
    places: tuple[str, ...] = ()  # globs of its files in the package, without the first slash
    parts: tuple["Part", ...] = ()
    requires: tuple[str, ...] = ()  # refs


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The parts of a package; ``requires`` are the refs that the package itself needs."""

    parts: tuple[Part, ...] = ()
    requires: tuple[str, ...] = ()

    def all_parts(self) -> Iterator[Part]:
        """Yield every part, and the parts inside of it after it."""
        yield from _walk(self.parts)


def _walk(parts: Sequence[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        yield from _walk(part.parts)


def save_inventory(inventory: Inventory, folder: Path) -> None:
    """Write the inventory into a stage's folder."""
    text = json.dumps(asdict(inventory), separators=(",", ":"), sort_keys=True)
    (folder / INVENTORY).write_text(text, encoding="utf-8")


def load_inventory(folder: Path) -> Inventory:
    """Load the inventory of the stage in ``folder``."""
    table = json.loads((folder / INVENTORY).read_text(encoding="utf-8"))
    return Inventory(parts=_parts(table["parts"]), requires=tuple(table["requires"]))


def _parts(rows: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    return tuple(
        Part(
            **{
                **row,
                "kind": PartKind(row["kind"]),
                "licence": _licence(row["licence"]),
                "places": tuple(row["places"]),
                "parts": _parts(row["parts"]),
                "requires": tuple(row["requires"]),
            }
        )
        for row in rows
    )


def _licence(row: Mapping[str, Any]) -> LicenceFacts:
    listed = {key: tuple(row[key]) for key in ("classifiers", "files", "holders")}
    return LicenceFacts(**{**row, **listed})
