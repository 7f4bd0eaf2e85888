"""Progress of tests that take minutes."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest


class Steps:
    """Reports each step of a long test as it happens, with its seconds."""

    def __init__(self, config: pytest.Config, name: str) -> None:
        self._capture = config.pluginmanager.getplugin("capturemanager")
        self._name = name

    def say(self, text: str) -> None:
        """Print a line at once, past pytest's capture."""
        context: AbstractContextManager[None] = nullcontext()
        if self._capture is not None:
            context = self._capture.global_and_fixture_disabled()
        with context:
            sys.stderr.write(f"\n{self._name}: {text}")
            sys.stderr.flush()

    @contextmanager
    def __call__(self, title: str) -> Iterator[None]:
        """One step."""
        self.say(f"{title} ...")
        begin = time.monotonic()
        ending = "failed"
        try:
            yield
            ending = "done"
        finally:
            self.say(f"{title} {ending} after {time.monotonic() - begin:.1f} s")
