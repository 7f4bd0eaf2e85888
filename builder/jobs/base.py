"""The runtime's wheels, as the packages upon it need them in a build."""

from collections.abc import Callable, Sequence
from threading import Lock as Mutex

from builder.base.cache import Cache
from builder.plan import PythonPlan
from builder.stage.model import Base
from builder.stage.shared_scripts import find_shared_scripts
from builder.wheels.install import InstalledWheel


class SharedWheels:
    """The wheels of one architecture's runtime, installed when first asked for.

    Safe to use by several threads.
    """

    def __init__(
        self, python: PythonPlan, pins: list[str], install: Callable[[], Sequence[InstalledWheel]]
    ) -> None:
        self.pins = pins
        self._python = python
        self._install = install
        self._installed: Sequence[InstalledWheel] | None = None
        self._mutex = Mutex()

    def wheels(self) -> Sequence[InstalledWheel]:
        """Return the wheels, each as a tree of its own."""
        with self._mutex:
            if self._installed is None:
                self._installed = self._install()
            return self._installed

    def base(self, cache: Cache) -> Base:
        """Return what a stage upon the runtime needs."""
        scripts = find_shared_scripts([self._python.minor, *self.pins], self.wheels, cache)
        return Base(scripts=scripts, wheels=self.wheels)
