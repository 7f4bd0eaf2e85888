"""The Alembic revisions of the installed release, read without running its scripts.

Importing a few hundred scripts takes seconds, and only the service's own environment can.
"""

import configparser
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backendai_ctl.base.errors import HostError, RecipeError
from backendai_ctl.base.layout import Layout

_ASSIGNED = r"^{name}\b[^=\n]*=\s*(?P<value>\([^)]*\)|[^\n]+)"
_REVISION = re.compile(_ASSIGNED.format(name="revision"), re.MULTILINE)
_DOWN = re.compile(_ASSIGNED.format(name="down_revision"), re.MULTILINE)
_WORD = re.compile(r"[\"']([^\"']+)[\"']")


@dataclass(frozen=True, kw_only=True)
class Revisions:
    """Every revision in the release, and the heads: revisions that no other follows."""

    known: frozenset[str]
    heads: frozenset[str]
    parents: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def ahead(self, listed: Iterable[str], found: Iterable[str]) -> list[str]:
        """Return those of ``listed`` that a database at ``found`` still lacks, in order."""
        passed = self._passed(found)
        return [revision for revision in listed if revision in self.known - passed]

    def _passed(self, found: Iterable[str]) -> frozenset[str]:
        """Return ``found`` and every revision before them."""
        seen: set[str] = set()
        left = list(found)
        while left:
            revision = left.pop()
            if revision not in seen:
                seen.add(revision)
                left += self.parents.get(revision, ())
        return frozenset(seen)


def read_revisions(layout: Layout, service: str, alembic_config: str) -> Revisions:
    """Return the revisions below ``script_location`` of ``alembic_config``.

    Raises HostError if that file cannot be read, RecipeError if the release has none.
    """
    path = layout.etc / alembic_config
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        location = parser["alembic"]["script_location"]
    except (OSError, KeyError, configparser.Error) as error:
        raise HostError(f"cannot read {path}: {error}") from error
    below = location.replace(":", "/").replace(".", "/")
    folders = list(layout.prefix(service).glob(f"lib/python3.*/site-packages/{below}/versions"))
    if not folders:
        raise RecipeError(f"{path}: script_location = {location}: the release has no such folder")
    return collect(folders[0])


def collect(folder: Path) -> Revisions:
    """Return the revisions of the scripts in ``folder``."""
    parents: dict[str, frozenset[str]] = {}
    for script in folder.glob("*.py"):
        text = script.read_text(encoding="utf-8")
        before = frozenset(_words(_DOWN, text))
        parents |= dict.fromkeys(_words(_REVISION, text), before)
    known = frozenset(parents)
    return Revisions(known=known, heads=known.difference(*parents.values()), parents=parents)


def _words(pattern: re.Pattern[str], text: str) -> list[str]:
    found = pattern.search(text)
    return _WORD.findall(found["value"]) if found else []
