"""The data that each installed add-on's package ships, in a file below /usr/lib/backendai.

Accelerators have addons/NAME.toml, a site's plug-ins plugins/SERVICE/NAME.toml.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.toml import read_table, shipped_table


@dataclass(frozen=True, kw_only=True)
class Need:
    """A need of the hardware, from its vendor; any one of the listed items meets it."""

    install: str
    paths: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place that allows a service's plug-ins: a file in /etc/backend.ai and two keys in it."""

    config: str
    allow_key: str
    block_key: str


@dataclass(frozen=True, kw_only=True)
class Addon:
    """One installed add-on."""

    name: str
    folder: Path  # of its data; the files that it makes in /etc/backend.ai lie below
    package: str
    summary: str
    service: str
    place: Place | None  # None: the service has no lists, and loads what is installed
    loads_all: bool = False  # without an allow list the service loads it: none is made for it
    allow: tuple[str, ...]  # import packages, as the allow list names them
    keys: tuple[str, ...]  # kinds of devices
    keys_from: str | None = None  # FILE:KEY of the admin's that has the device kind
    needs: tuple[Need, ...] = ()
    files: tuple[str, ...] = ()  # to create in /etc/backend.ai
    etcd: Mapping[str, object]  # a tree, as in recipes

    def kinds(self, layout: Layout) -> tuple[str, ...]:
        """Return the kinds of devices that it will show, from the admin's file if that decides."""
        if self.keys_from is None:
            return self.keys
        file, _, key = self.keys_from.partition(":")
        try:
            found = read_table(layout.etc / file).get(key)
        except TargetError:
            found = None  # the service reports what is wrong with the file
        return (str(found),) if found is not None else self.keys


def load_addons(layout: Layout, service: str | None = None) -> list[Addon]:
    """Return the installed add-ons, of one service or of all, by name."""
    found = [_load(path) for path in layout.addon_files()]
    return [addon for addon in found if service in (None, addon.service)]


def named(addons: list[Addon], name: str) -> Addon:
    """Return the add-on with this short name or package name."""
    for addon in addons:
        if name in (addon.name, addon.package):
            return addon
    known = ", ".join(addon.name for addon in addons) or "none"
    raise TargetError(f"no add-on '{name}' is installed here", hint=f"installed: {known}")


def _load(path: Path) -> Addon:
    with shipped_table(path, "the add-on's package") as table:
        return Addon(
            name=table["name"],
            folder=path.parent,
            package=table["package"],
            summary=table["summary"],
            service=table["service"],
            place=_place(table),
            loads_all=bool(table.get("loads-all", False)),
            allow=tuple(table["allow"]),
            keys=tuple(table["keys"]),
            keys_from=table.get("keys-from"),
            needs=tuple(
                Need(
                    install=need["install"],
                    paths=tuple(need["paths"]),
                    programs=tuple(need["programs"]),
                    libraries=tuple(need["libraries"]),
                )
                for need in table.get("needs", [])
            ),
            files=tuple(table["files"]),
            etcd=table.get("etcd", {}),
        )


def _place(table: Mapping[str, Any]) -> Place | None:
    if "config" not in table:
        return None
    return Place(config=table["config"], allow_key=table["allow-key"], block_key=table["block-key"])
