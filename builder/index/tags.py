"""Chooses the wheel that fits a target best: PEP 425 and PEP 600, by ``packaging``."""

from collections.abc import Iterable, Iterator
from functools import cache

from packaging import tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

# The names that manylinux had before PEP 600, with the glibc each stands for.
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLDEST_GLIBC_MINOR = 5


def _platforms(machine: str, glibc: str) -> Iterator[str]:
    newest = int(glibc.split(".")[1])
    for minor in range(newest, _OLDEST_GLIBC_MINOR - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_{machine}"
    yield f"linux_{machine}"


@cache
def supported(python: str, machine: str, glibc: str) -> dict[tags.Tag, int]:
    """Return every tag that the target accepts, with its rank: 0 is the most specific."""
    version = tuple(int(part) for part in python.split("."))
    interpreter = "cp" + "".join(map(str, version))
    platforms = list(_platforms(machine, glibc))
    ordered = [
        *tags.cpython_tags(version, abis=[interpreter], platforms=platforms),
        *tags.compatible_tags(version, interpreter=interpreter, platforms=platforms),
    ]
    return {tag: rank for rank, tag in reversed(list(enumerate(ordered)))}


def best_wheel(names: Iterable[str], *, python: str, machine: str, glibc: str) -> str | None:
    """Return the file name of the wheel that fits best; None if none fits.

    ``python`` is a minor version, ``machine`` the kernel's name of the architecture.
    """
    ranks = supported(python, machine, glibc)
    best: tuple[int, str] | None = None
    for name in names:
        try:
            wheel_tags = parse_wheel_filename(name)[3]
        except InvalidWheelFilename:
            continue
        rank = min((ranks[tag] for tag in wheel_tags if tag in ranks), default=None)
        if rank is not None and (best is None or (rank, name) < best):
            best = (rank, name)
    return best[1] if best else None


def is_pure(name: str) -> bool:
    """Return whether the wheel of this file name fits every platform."""
    return all(tag.platform == "any" for tag in parse_wheel_filename(name)[3])
