"""The installed release of a service, and the release line whose data applies to it."""

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from backendai_ctl.base.layout import Layout

T = TypeVar("T")
Numbers = tuple[int, ...]


def version_numbers(version: str) -> Numbers:
    """Return the numbers that a version begins with: (26, 9, 6)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def find_version(layout: Layout, service: str, distribution: str) -> str | None:
    """Return the version of ``distribution`` as the service sees it, by its metadata's folder."""
    stem = distribution.replace("-", "_")
    pattern = re.compile(rf"(?i){re.escape(stem)}-(?P<version>[^-]+)\.dist-info")
    for prefix in (layout.prefix(service), layout.runtime):
        for folder in prefix.glob("lib/python3.*/site-packages/*.dist-info"):
            found = pattern.fullmatch(folder.name.replace("backend_ai", "backend.ai"))
            if found:
                return found["version"]
    return None


def newest_line(lines: Iterable[T], since: Callable[[T], Numbers], version: str) -> T | None:
    """Return the newest line that ``version`` has reached; a line holds until the next begins."""
    number = version_numbers(version)
    return max((line for line in lines if since(line) <= number), key=since, default=None)
