"""A finding: what is wrong, where, and what fixes it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Severity(IntEnum):
    """How much a finding matters; the worst comes first."""

    ERROR = 0  # something does not work, or is open to others
    WARNING = 1  # it will not, or not for long
    NOTE = 2  # worth knowing

    @property
    def word(self) -> str:
        """As it is shown."""
        return self.name.lower()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it should be."""

    severity: Severity
    what: str
    where: str
    remedy: str
    value: str = ""
    # Fixes it without harm to sessions or data, and returns what it did; None: the admin's to do.
    fix: Callable[[], str] | None = None
    check: str = ""

    def as_table(self) -> dict[str, Any]:
        """For --json."""
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
    """A finding that something does not work."""
    return Finding(severity=Severity.ERROR, what=what, where=where, remedy=remedy, **more)


def warning(what: str, where: str, remedy: str, **more: Any) -> Finding:
    """A finding that something will go wrong."""
    return Finding(severity=Severity.WARNING, what=what, where=where, remedy=remedy, **more)


def note(what: str, where: str, remedy: str, **more: Any) -> Finding:
    """A finding that is worth knowing."""
    return Finding(severity=Severity.NOTE, what=what, where=where, remedy=remedy, **more)
