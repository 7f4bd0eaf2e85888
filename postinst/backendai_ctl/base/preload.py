"""Imports modules of a release ahead of their use, while something else is awaited."""

import contextlib
import gc
import importlib
import pkgutil
from collections.abc import Iterator

_ALL_BELOW = ".*"


def import_early(*names: str) -> None:
    """Import the modules, and for PACKAGE.* the package with all modules below it.

    One that fails, or is of another release, is left to whoever needs it.
    """
    # Modules are not garbage: a search among their objects for each few thousand costs a tenth,
    # and once more in each process that is forked later.
    gc.disable()
    for name in names:
        _import(name.removesuffix(_ALL_BELOW))
        if name.endswith(_ALL_BELOW):
            for below in _modules_below(name.removesuffix(_ALL_BELOW)):
                _import(below)
    gc.freeze()
    gc.enable()


def _import(name: str) -> None:
    with contextlib.suppress(Exception):
        importlib.import_module(name)


def _modules_below(name: str) -> Iterator[str]:
    with contextlib.suppress(Exception):
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}.", onerror=_pass_over):
            yield found.name


def _pass_over(_name: str) -> None:
    """Go on with the other modules after a package that cannot be imported."""
