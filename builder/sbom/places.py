"""Which files of a package are a wheel's: the fewest globs that name no other wheel's. Pure."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from builder.wheels.install import InstalledWheel


def find_places(wheels: Sequence[InstalledWheel]) -> dict[str, tuple[str, ...]]:
    """Return the globs below the prefix of each wheel, by the wheel's file name."""
    return own_globs({wheel.wheel.file: _recorded(wheel) for wheel in wheels})


def own_globs(files: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Return for each owner the shortest folders that only it has files in, and single files.

    A file that several owners have is each one's.
    """
    owned = {owner: sorted(set(paths)) for owner, paths in files.items()}
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for owner, paths in owned.items():
        for path in paths:
            for folder in _folders(path):
                owners[folder].add(owner)
    return {
        owner: tuple(sorted({_glob(path, owners) for path in paths}))
        for owner, paths in owned.items()
    }


def _glob(path: str, owners: Mapping[str, set[str]]) -> str:
    folder = next((name for name in _folders(path) if len(owners[name]) == 1), None)
    # A pattern ends at white space.
    return (f"{folder}/*" if folder else path).replace(" ", "?")


def _folders(path: str) -> list[str]:
    """Return the folders above a path below site-packages or bin, the outermost first."""
    parts = path.split("/")
    first = parts.index("site-packages") + 2 if "site-packages" in parts else len(parts)
    return ["/".join(parts[:end]) for end in range(first, len(parts))]


def _recorded(wheel: InstalledWheel) -> list[str]:
    record = wheel.tree / wheel.record
    site = wheel.record.rpartition("/")[0].rpartition("/")[0]
    up = "../" * (site.count("/") + 1)
    rows = csv.reader(io.StringIO(record.read_text(encoding="utf-8")))
    names = [row[0] for row in rows if row]
    return [name.removeprefix(up) if name.startswith(up) else f"{site}/{name}" for name in names]
