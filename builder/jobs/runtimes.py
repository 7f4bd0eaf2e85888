"""The CPythons of one build: identified at its beginning, checked when they are used."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

from builder.base.cache import Cache
from builder.base.errors import RuntimeUnavailableError
from builder.base.model import Arch, RuntimeChoice, host_arch
from builder.plan import PackagePlan
from builder.runtime.choose import provide_runtime
from builder.runtime.model import Runtime, RuntimeOptions, RuntimeRequest


class Runtimes:
    """Provides each CPython that the plans need, once.

    One that the cache has is identified by its record: that is enough to find the packages
    made with it. Its tree is checked before anything is made with it. Safe to use by several
    threads.
    """

    def __init__(
        self,
        plans: Sequence[PackagePlan],
        release: str,
        ways: tuple[RuntimeChoice, RuntimeOptions],
        cache: Cache,
    ) -> None:
        self._choice, self._options = ways
        self._release = release
        self._cache = cache
        self._mutex = Lock()
        self._found: dict[tuple[str, Arch], Runtime] = {}
        self._unchecked: dict[str, RuntimeRequest] = {}  # by the runtime's key
        for plan in plans:
            if plan.python is None or plan.arch is None:
                continue
            key = (plan.python.minor, plan.arch)
            if key not in self._found:
                self._provide(*key, plan.python.requires_python)

    def _provide(self, minor: str, arch: Arch, requires_python: str) -> Runtime:
        request = RuntimeRequest.with_options(
            self._options,
            minor=minor,
            requires_python=requires_python,
            release=self._release,
            arch=arch,
        )
        found = provide_runtime(replace(request, whole=False), self._cache, self._choice)
        self._found[minor, arch] = found
        self._unchecked[found.key] = request
        return found

    def interpreter(self, minor: str, requires_python: str) -> Path:
        """Return an interpreter of a minor version that runs on this host.

        That of any architecture's CPython will do; without one, this host's is provided now.
        """
        with self._mutex:
            found = next((own for key, own in self._found.items() if key[0] == minor), None)
            if found is None:
                found = self._provide(minor, host_arch(), requires_python)
        self.check(found)
        return found.python

    def of(self, plan: PackagePlan) -> Runtime | None:
        """Return the plan's CPython, None if it has none."""
        if plan.python is None or plan.arch is None:
            return None
        return self._found[plan.python.minor, plan.arch]

    def check(self, runtime: Runtime) -> None:
        """Check the tree of a runtime, and make it again if it is damaged, once in a build.

        Raises RuntimeUnavailableError if another one had to take its place.
        """
        with self._mutex:
            request = self._unchecked.pop(runtime.key, None)
            if request is None:
                return
            whole = provide_runtime(request, self._cache, self._choice, announce=False)
        if whole.key != runtime.key:
            raise RuntimeUnavailableError(
                f"CPython {runtime.version} for {runtime.arch} in the cache was damaged, and "
                "cannot be made again; another one was prepared",
                hint="run the build again: it uses the other one",
            )
