"""Modules that are imported when they are first used.

A build that has nothing to do still pays for its imports: half of its time if a library that
only a download or a new binary needs were among them.
"""

from importlib import import_module
from types import ModuleType
from typing import Any


class LazyModule(ModuleType):
    """Stands for the module ``name`` until one of its attributes is read.

    Safe to use by several threads: the import is the interpreter's own.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)
