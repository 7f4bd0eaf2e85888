"""The time of each phase of a build: shown with ``-v`` and in CI, and kept for ``make bench``.

BUILDER_TIMINGS names a file that gets one JSON line a phase.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.base import log

VARIABLE = "BUILDER_TIMINGS"


@contextmanager
def phase(name: str, what: str = "") -> Iterator[None]:
    """Time the work of the block; phases of different packages may overlap."""
    begin = time.time()
    yield
    end = time.time()
    report = log.step if os.environ.get("CI") else log.detail
    report(f"{name} {what}: {end - begin:.2f} s")
    path = os.environ.get(VARIABLE)
    if path:
        line = json.dumps({"phase": name, "what": what, "begin": begin, "end": end})
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
