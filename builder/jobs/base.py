"""The runtime's wheels, as the packages upon it need them in a build."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from threading import RLock

from builder.base.cache import Cache
from builder.plan import PackagePlan, PythonPlan
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


def python_of(plan: PackagePlan) -> PythonPlan:
    """Return the Python of a plan that has one."""
    assert plan.python is not None
    return plan.python


def pins_of(plan: PackagePlan) -> list[str]:
    """Return what identifies the wheels of a plan: the sha256 of each file in its lock."""
    assert plan.arch is not None
    files = (wheel.file_for(plan.arch) for wheel in python_of(plan).wheels)
    return [file.sha256 for file in files if file is not None]
