"""Reads licence texts: whom they name, and what tells two of them apart."""

import re
from collections.abc import Iterable
from pathlib import Path

LONGEST = 200  # signs of what is quoted
_MOST_HOLDERS = 20
_COPYRIGHT = re.compile(
    r"[\s#*/]*(?:copyright:?\s*(?:\(c\)|©)?|\(c\)|©)\s*(?P<holder>(?=.*\d{4}).+)", re.IGNORECASE
)
_ENDORSEMENT = re.compile(r"neither\s+the\s+names?|endorse\s+or\s+promote", re.IGNORECASE)


def read_holders(files: Iterable[Path]) -> list[str]:
    """Return the copyright holders that the texts name with a year, each once, in their order."""
    found: dict[str, None] = {}
    for path in files:
        for line in _read(path).splitlines():
            match = _COPYRIGHT.match(line)
            if match and len(found) < _MOST_HOLDERS:
                found[match["holder"].strip()[:LONGEST]] = None
    return list(found)


def forbids_endorsement(path: Path) -> bool:
    """Return whether the text has the third clause of the BSD licence."""
    return bool(_ENDORSEMENT.search(_read(path)))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
