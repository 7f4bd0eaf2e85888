"""Runs ``builder`` on a project of the tests: python -m tests.helpers.clichild ROOT WORDS…

A process of its own, for what a process alone shows: signals, exit codes, streams.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from builder.cli import build, main, options
from builder.runtime.model import Runtime, RuntimeRequest
from tests.helpers.builds import fake_runtime


@contextmanager
def pretend(root: Path) -> Iterator[None]:
    """Let ``builder`` take ``root`` for its checkout, with the stand-in for CPython."""

    def provide(_wanted: RuntimeRequest, *_: object, **_more: object) -> Runtime:
        return fake_runtime(root)

    with (
        patch.object(options, "PKGSPEC", root / "pkgspec"),
        patch.object(build, "PROJECT", root),
        patch("builder.jobs.runtimes.provide_runtime", provide),
        patch("builder.jobs.fetch.provide_runtime", provide),
    ):
        yield


if __name__ == "__main__":
    with pretend(Path(sys.argv[1])):
        main(sys.argv[2:], prog_name="builder")
