"""The runtime's wheels, as the packages upon it need them in a build."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from threading import RLock

from builder.base.cache import Cache
from builder.stage.fit import Places, find_places
from builder.stage.model import Base
from builder.stage.shared_scripts import find_shared_scripts
from builder.wheels.install import InstalledWheel


class SharedWheels:
    """The wheels of one architecture's runtime: each part is made once, when first asked for.

    Safe to use by several threads.
    """

    def __init__(
        self,
        pins: Sequence[str],
        tree: Path | None,
        install: Callable[[], Sequence[InstalledWheel]],
    ) -> None:
        self.pins = pins
        self._tree = tree  # of CPython, if it is bundled
        self._install = install
        self._mutex = RLock()

    def wheels(self) -> Sequence[InstalledWheel]:
        """Return the wheels, each as a tree of its own."""
        with self._mutex:
            return self._wheels

    def base(self, cache: Cache, minor: str) -> Base:
        """Return what a stage upon the runtime needs."""
        scripts = find_shared_scripts([minor, *self.pins], self.wheels, cache)
        return Base(scripts=scripts, wheels=self.wheels, places=self._find_places)

    def _find_places(self) -> Places:
        with self._mutex:
            return self._places

    @cached_property
    def _wheels(self) -> Sequence[InstalledWheel]:
        return self._install()

    @cached_property
    def _places(self) -> Places:
        trees = [wheel.tree for wheel in self._wheels]
        return find_places([*trees, self._tree] if self._tree else trees)
