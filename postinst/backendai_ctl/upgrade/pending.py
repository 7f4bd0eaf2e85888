"""The upgrades that a transaction of the package manager has begun and left for its end.

A maintainer script writes a note for each service with new files. Its lines are the units
that ran at that moment, with the old release in memory; its time is that moment.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.base.errors import HostError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import is_active, process_age

_SUFFIX = ".pending"


@dataclass(frozen=True, kw_only=True)
class Pending:
    """The note of one service."""

    service: str
    units: Sequence[str]
    path: Path
    at: float  # seconds since the epoch

    def old_units(self) -> list[str]:
        """Return the units that still run the release from before the note."""
        age = time.time() - self.at
        ages = {unit: process_age(unit) for unit in self.units}
        return [unit for unit, unit_age in ages.items() if unit_age is not None and unit_age > age]

    def idle_units(self) -> list[str]:
        """Return the units that were stopped for work on their database and do not run yet."""
        return [unit for unit in self.units if not is_active(unit)]


def pending_upgrades(layout: Layout) -> list[Pending]:
    """Return every note on this host, by its service's name; HostError if one cannot be read."""
    found = []
    for path in sorted(layout.upgrades.glob(f"*{_SUFFIX}")):
        try:
            units = tuple(path.read_text(encoding="utf-8").split())
            at = path.stat().st_mtime
        except FileNotFoundError:  # another run has just removed the note
            continue
        except OSError as error:
            raise HostError(f"cannot read {path}: {error.strerror}") from error
        found.append(Pending(service=path.stem, units=units, path=path, at=at))
    return found
