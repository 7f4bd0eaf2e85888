"""The wheels that all services of a release share, found from their locks. Pure."""

from collections.abc import Iterable, Sequence

from builder.base.errors import LockError
from builder.base.model import Arch
from builder.lock import Lock, LockedDistribution

_LEAST_SERVICES = 2


def shared_wheels(locks: Sequence[Lock], arch: Arch) -> tuple[LockedDistribution, ...]:
    """Return the distributions whose file for ``arch`` is the same in every lock, by name.

    Only what all services have is shared, so that no service finds a distribution that its
    own lock does not name. A release with one service shares nothing but CPython.
    """
    if len(locks) < _LEAST_SERVICES:
        return ()
    first, *others = locks
    files = [_files(lock, arch) for lock in others]
    return tuple(
        wheel
        for wheel in first.wheel
        if (file := wheel.file_for(arch)) is not None
        and all(found.get(wheel.name) == file.sha256 for found in files)
    )


def _files(lock: Lock, arch: Arch) -> dict[str, str]:
    """Return the sha256 of each distribution's file by the distribution's name."""
    found = ((wheel.name, wheel.file_for(arch)) for wheel in lock.wheel)
    return {name: file.sha256 for name, file in found if file is not None}


def one_python(locks: Sequence[Lock]) -> Lock:
    """Return a lock that stands for the Python of all; LockError if they have several."""
    minors = {lock.python: lock for lock in locks}
    if len(minors) != 1:
        named = ", ".join(f"{lock.package} has {minor}" for minor, lock in sorted(minors.items()))
        raise LockError(
            f"the services of release {locks[0].release} have several Pythons: {named}"
            if locks
            else "no service of the release has a lock",
            hint="all run on one runtime: run 'builder lock'",
        )
    return next(iter(minors.values()))


def build_tools(locks: Iterable[Lock]) -> tuple[LockedDistribution, ...]:
    """Return what the sdists of all locks are built with."""
    found = {tool.pin: tool for lock in locks for tool in lock.build}
    return tuple(found[pin] for pin in sorted(found))
