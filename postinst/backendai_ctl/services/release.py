"""The installed release of a service, and the release line whose data applies to it."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from backendai_ctl.base.layout import Layout

T = TypeVar("T")
Numbers = tuple[int, ...]


def version_numbers(version: str) -> Numbers:
    """Return the numbers that a version begins with: (26, 9, 6)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def find_version(layout: Layout, service: str, distribution: str) -> str | None:
    """Return the version of ``distribution`` as the service sees it, by its metadata's folder.

    While rpm upgrades or downgrades, the files of the former version are still there: the version
    that was written last is the installed one.
    """
    stem = distribution.replace("-", "_")
    pattern = re.compile(rf"(?i){re.escape(stem)}-(?P<version>[^-]+)\.dist-info")
    for prefix in (layout.prefix(service), layout.runtime):
        found = {
            match["version"]: _written(folder)
            for folder in prefix.glob("lib/python3.*/site-packages/*.dist-info")
            if (match := pattern.fullmatch(folder.name.replace("backend_ai", "backend.ai")))
        }
        if found:
            return max(found, key=lambda version: found[version])
    return None


def _written(folder: Path) -> int:
    """Return when the metadata came onto this host; 0 where it is gone.

    Its ctime: packages set the mtime, and the folder's changes while its files are removed.
    """
    try:
        return (folder / "METADATA").stat().st_ctime_ns
    except FileNotFoundError:
        return 0


def newest_line(lines: Iterable[T], since: Callable[[T], Numbers], version: str) -> T | None:
    """Return the newest line that ``version`` has reached; a line holds until the next begins."""
    number = version_numbers(version)
    return max((line for line in lines if since(line) <= number), key=since, default=None)
