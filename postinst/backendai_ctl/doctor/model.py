"""A finding: the fault, its place, and its remedy."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Severity(IntEnum):
    """The weight of a finding; the worst comes first."""

    ERROR = 0  # something does not work, or is open to others
    WARNING = 1  # something will stop working, or not work for long
    NOTE = 2  # useful information

    @property
    def word(self) -> str:
        """The word in the output."""
        return self.name.lower()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A deviation that a check found."""

    severity: Severity
    what: str
    where: str
    remedy: str
    value: str = ""
    # Fixes it without harm to sessions or data, and returns what it did; None: left to the admin.
    fix: Callable[[], str] | None = None
    check: str = ""

    def as_table(self) -> dict[str, Any]:
        """Return the finding for --json."""
        return {
            "severity": self.severity.word,
            "check": self.check,
            "what": self.what,
            "where": self.where,
            "value": self.value,
            "remedy": self.remedy,
            "fixable": self.fix is not None,
        }


def error(what: str, where: str, remedy: str, **more: Any) -> Finding:
    """Return a finding that something does not work."""
    return Finding(severity=Severity.ERROR, what=what, where=where, remedy=remedy, **more)


def warning(what: str, where: str, remedy: str, **more: Any) -> Finding:
    """Return a finding that something will go wrong."""
    return Finding(severity=Severity.WARNING, what=what, where=where, remedy=remedy, **more)


def note(what: str, where: str, remedy: str, **more: Any) -> Finding:
    """Return a finding that is useful information only."""
    return Finding(severity=Severity.NOTE, what=what, where=where, remedy=remedy, **more)
