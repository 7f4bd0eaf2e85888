"""Runs a server for the first time: its modules are imported while its stores are being filled."""

import contextlib
import importlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from backendai_ctl.base.errors import NotReadyError, RecipeError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.preload import import_early
from backendai_ctl.services.recipe import Recipe

# Less than the 300 s of the unit: whoever has written the note may have been killed.
_SECONDS = 240.0
_PAUSE_SECONDS = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_first_start(layout: Layout, recipe: Recipe, arguments: Sequence[str] = ()) -> NoReturn:
    """Import the server of ``recipe``, wait until its stores are filled, and become it.

    ``arguments`` are the server's own. NotReadyError if the stores are not filled after 240 s.
    """
    if recipe.first_start is None:
        raise RecipeError(f"{recipe.service} has no [first-start]")
    module, _, name = recipe.first_start.entry.partition(":")
    with _ended_by_signals():
        import_early(module, *recipe.first_start.imports)
        server = getattr(importlib.import_module(module), name)
        _wait_for_release(layout.held(recipe.service))
    _leave_path()
    sys.argv[:] = [module, *arguments]
    sys.exit(server())


def _wait_for_release(held: Path) -> None:
    begin = time.monotonic()
    while held.exists():
        if time.monotonic() - begin > _SECONDS:
            raise NotReadyError(
                "the stores are not filled yet", hint="sudo backendai-ctl seed status"
            )
        time.sleep(_PAUSE_SECONDS)


def _leave_path() -> None:
    """Let the server find what it would find without this tool."""
    own = str(Path(__file__).resolve().parents[2])
    sys.path[:] = [folder for folder in sys.path if folder != own]


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End at once by a signal, as nothing has begun; Python raises from within an import."""
    kept = {number: signal.signal(number, signal.SIG_DFL) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
