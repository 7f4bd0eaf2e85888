"""Records of what this tool last did with each add-on, beside those of configuration files.

A record outlives its add-on's package: it has the entries to remove from the lists.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from backendai_ctl.addons.model import Addon, Place
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout

_PREFIX = "addon-"  # debian/service.postrm.sh.j2 has it, too


@dataclass(frozen=True, kw_only=True)
class AddonRecord:
    """One add-on as this tool left it."""

    name: str
    service: str
    place: Place
    allow: tuple[str, ...]
    listed: bool = False  # this tool allowed it, so a later absence is the admin's wish
    disabled: bool = False  # by `addon disable`

    @classmethod
    def of(cls, addon: Addon) -> "AddonRecord":
        """Return the record of an add-on that is new here, of a service with lists."""
        assert addon.place is not None
        return cls(name=addon.name, service=addon.service, place=addon.place, allow=addon.allow)


def load_records(layout: Layout, service: str) -> dict[str, AddonRecord]:
    """Return the records of a service's add-ons, by name; a damaged one counts as none."""
    found = {}
    for path in sorted(layout.generated.glob(f"{_PREFIX}*")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            record = _record(json.loads(path.read_text(encoding="utf-8")))
            if record.service == service:
                found[record.name] = record
    return found


def _record(table: Mapping[str, object]) -> AddonRecord:
    place, allow = table["place"], table["allow"]
    if not isinstance(place, dict) or not isinstance(allow, list):
        raise TypeError("not a record")
    return AddonRecord(
        name=str(table["name"]),
        service=str(table["service"]),
        place=Place(**place),
        allow=tuple(allow),
        listed=bool(table["listed"]),
        disabled=bool(table["disabled"]),
    )


def save_record(layout: Layout, writer: Writer, record: AddonRecord) -> None:
    """Write a record, by rename."""
    text = json.dumps(asdict(record)) + "\n"
    writer.replace(layout.generated / f"{_PREFIX}{record.name}", text)


def forget_record(layout: Layout, name: str) -> None:
    """Remove a record."""
    (layout.generated / f"{_PREFIX}{name}").unlink(missing_ok=True)
