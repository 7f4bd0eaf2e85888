"""The rules for an add-on beside its host and the host's other add-ons."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from threading import Lock as Mutex

from builder.base.errors import PayloadError
from builder.base.words import name_some
from builder.plan import PackagePlan
from builder.spec.schema import AddonSpec
from builder.stage.entry_points import entry_points
from builder.stage.linking import files_below

_SHOWN = 5


class Owners:
    """The files of each add-on of a build; safe to use by several threads."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], str] = {}
        self._mutex = Mutex()

    def claim(self, plan: PackagePlan, paths: Iterable[str]) -> None:
        """Record the files of an add-on; raises PayloadError if another add-on has one."""
        arch = str(plan.arch)
        with self._mutex:
            for path in paths:
                owner = self._owners.setdefault((arch, path), plan.name)
                if owner != plan.name:
                    raise PayloadError(
                        f"{plan.name}: /{path} is in {owner}, too",
                        hint="no file can belong to two packages: both are installed together",
                    )


def refuse_shared_files(name: str, prefix: Path, host: Path) -> None:
    """Raise PayloadError if a file below ``prefix`` has the same place as a file of the host.

    This holds for equal bytes, too: dpkg and rpm let a file belong to one package.
    """
    taken = [path for path in files_below(prefix) if os.path.lexists(host / path)]
    if taken:
        raise PayloadError(
            f"{name}: the host has these files already: {name_some(taken, _SHOWN)}",
            hint="the add-on's wheel, or one that only the add-on needs, ships what a wheel of "
            "the host ships: report it to its makers",
        )


def check_entry_points(name: str, addon: AddonSpec, prefix: Path, host: Path) -> None:
    """Raise PayloadError unless the wheels' entry points match the spec and are new to the host.

    The service's loader refuses to start if two plug-ins have one name.
    """
    found = dict(_entry_points(prefix, addon.group))
    if found != addon.plugins:
        raise PayloadError(
            f"{name}: the wheel's entry points in {addon.group} are {_shown(found)}, "
            f"'plugins' of the member says {_shown(addon.plugins)}",
            hint="fix 'plugins' of the member in the family's file",
        )
    taken = set(found) & {point for point, _ in _entry_points(host, addon.group)}
    if taken:
        raise PayloadError(
            f"{name}: the host has plug-ins called {', '.join(sorted(taken))} already"
        )


def _entry_points(prefix: Path, group: str) -> Iterator[tuple[str, str]]:
    for site in sorted(prefix.glob("lib/python*/site-packages")):
        yield from entry_points(site, group)


def _shown(points: Mapping[str, str]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in sorted(points.items())) or "none"
