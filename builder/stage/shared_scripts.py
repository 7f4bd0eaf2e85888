"""The programs of the runtime's wheels, which every service has in its own environment."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.base.cache import Cache, key_of
from builder.stage.payload import write_script
from builder.wheels.install import InstalledWheel

_FORMAT = 1  # of a kept entry; raise it when this module makes different ones
_REPORT = "programs.json"
_BIN = "bin/"


@dataclass(frozen=True, kw_only=True)
class SharedScripts:
    """The programs: ``scripts`` are texts with PREFIX_MARK, ``programs`` run as they are."""

    scripts: dict[str, str]  # file name to text
    programs: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The hash of all: what of the runtime's wheels a service's package contains."""
        return key_of(self.scripts, list(self.programs))


def find_shared_scripts(
    pins: Sequence[object], install: Callable[[], Sequence[InstalledWheel]], cache: Cache
) -> SharedScripts:
    """Return the programs of the wheels that ``pins`` identify.

    Only where the cache lacks them ``install`` is called, which returns the wheels installed.
    """
    key = key_of("shared-scripts", _FORMAT, *pins)

    def make(folder: Path) -> None:
        found = _collect(install())
        text = json.dumps({"scripts": found.scripts, "programs": found.programs})
        (folder / _REPORT).write_text(text, encoding="utf-8")

    folder = cache.derive("shared-scripts", key, make)
    table = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
    return SharedScripts(scripts=table["scripts"], programs=tuple(table["programs"]))


def _collect(wheels: Sequence[InstalledWheel]) -> SharedScripts:
    scripts = {
        script.removeprefix(_BIN): (wheel.tree / script).read_text(encoding="utf-8")
        for wheel in wheels
        for script in wheel.scripts
    }
    programs = {
        path.name
        for wheel in wheels
        for path in (wheel.tree / _BIN).glob("*")
        if path.name not in scripts
    }
    return SharedScripts(scripts=scripts, programs=tuple(sorted(programs)))


def place_shared_scripts(
    shared: SharedScripts, prefix: Path, final: PurePosixPath, base: PurePosixPath
) -> None:
    """Put the programs into the ``bin`` of a service, whose Python then runs them.

    A wheel of the service that has a program of the same name comes first.
    """
    for name, text in shared.scripts.items():
        place = prefix / _BIN / name
        if not place.exists():
            write_script(place, text.encode(), final)
    for name in shared.programs:
        place = prefix / _BIN / name
        if not place.exists():
            place.symlink_to(base / _BIN / name)
