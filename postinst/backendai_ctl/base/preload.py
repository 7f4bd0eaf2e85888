"""Imports modules of a release ahead of their use, while something else is awaited."""

import contextlib
import gc
import importlib


def import_early(*names: str) -> None:
    """Import the modules; one that fails, or is of another release, is left to whoever needs it."""
    # Modules are not garbage: a search among their objects for each few thousand costs a tenth.
    gc.disable()
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.enable()
