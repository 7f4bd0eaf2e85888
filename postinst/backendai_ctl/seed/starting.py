"""Starts the services that wait for their stores, once the stores are filled.

The imports of a server can take as long as the whole seeding. Where this is the first, the server
starts at its beginning, is held after its imports, and goes on once the stores are filled.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import (
    control,
    has_systemd,
    is_active,
    is_enabled,
    start_at_once,
    unit_of,
    wait_while_starting,
)
from backendai_ctl.seed.state import is_first
from backendai_ctl.services.recipe import load_recipe
from backendai_ctl.stores.readiness import check_needs

_HEAD_START_SECONDS = 20.0


def waiting_services(layout: Layout) -> list[str]:
    """Return the services that were installed but not started because a store was not as needed."""
    try:
        return sorted(path.name for path in layout.waiting.iterdir())
    except FileNotFoundError:
        return []


def start_waiting(
    layout: Layout, say: Callable[[str], None], *, is_filled: bool = True
) -> dict[str, str]:
    """Start the services that can start now; return what each of the others waits for.

    A service that the admin has disabled in the meantime is left alone. Unless the stores are
    filled, a service with a database waits, whose schema alone does not make it ready. What was
    held has the processors first: systemd orders no unit after a job of `start_at_once`.
    """
    left: dict[str, str] = {}
    released: list[str] = []
    # The held ones first.
    for service in sorted(waiting_services(layout), key=lambda name: not _is_held(layout, name)):
        reason = _why_not_yet(layout, service, is_filled=is_filled)
        if reason:
            left[service] = reason
            continue
        if _is_held(layout, service):
            released.append(service)
        else:
            while released:
                wait_while_starting(unit_of(released.pop()), _HEAD_START_SECONDS)
        layout.held(service).unlink(missing_ok=True)
        unit = unit_of(service)
        if has_systemd(layout) and is_enabled(unit):
            say(f"starting {unit}")
            if control("start", unit, wait=False):
                left[service] = f"systemd did not take the start of {unit}"
                continue
        (layout.waiting / service).unlink(missing_ok=True)
    return left


def _is_held(layout: Layout, service: str) -> bool:
    return layout.held(service).exists()


def _why_not_yet(layout: Layout, service: str, *, is_filled: bool) -> str:
    """Return why ``service`` cannot start now, or an empty text."""
    if layout.failure_note(service).exists():
        return "its database is not upgraded"
    recipe = load_recipe(layout, service)
    if not is_filled and recipe.needs.database is not None:
        return "its stores are not filled"
    try:
        check_needs(layout, recipe)
    except TargetError as error:
        return error.message
    return ""


@dataclass(kw_only=True)
class HeldStarts:
    """What becomes of the services that are held: they are stopped unless the stores are filled."""

    layout: Layout
    say: Callable[[str], None]
    may_start: bool
    are_filled: bool = False
    _seen: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Start what has come since the last call, and was never seeded for."""
        for service in waiting_services(self.layout) if self.may_start else ():
            if service not in self._seen and _can_be_held(self.layout, service):
                _start_held(self.layout, service, self.say)
            self._seen.add(service)


@contextlib.contextmanager
def held_starts(
    layout: Layout, say: Callable[[str], None], *, may_start: bool
) -> Iterator[HeldStarts]:
    """Start what was never seeded for: it imports its modules, and is held after that."""
    held = HeldStarts(layout=layout, say=say, may_start=may_start)
    held.begin()
    try:
        yield held
    finally:
        if not held.are_filled:
            stop_held(layout, waiting_services(layout))


def _start_held(layout: Layout, service: str, say: Callable[[str], None]) -> None:
    try:
        private_writer().replace(layout.held(service), "")
    except TargetError:
        return  # it starts later
    if start_at_once(unit_of(service)):
        layout.held(service).unlink(missing_ok=True)
    else:
        say(f"{service} imports its modules meanwhile")


def stop_held(layout: Layout, services: Iterable[str]) -> None:
    """Stop those of ``services`` that are held."""
    for service in services:
        if layout.held(service).exists():
            control("stop", unit_of(service))
            # Its ExecStartPre= may have been ended by a signal: systemd counts that as a failure.
            control("reset-failed", unit_of(service))
            layout.held(service).unlink(missing_ok=True)


def _can_be_held(layout: Layout, service: str) -> bool:
    """Whether this is the first seeding for ``service``, and nobody keeps it from starting."""
    held = layout.held(service)
    if load_recipe(layout, service).first_start is None or not has_systemd(layout):
        return False
    if held.exists() or not held.parent.is_dir() or layout.failure_note(service).exists():
        return False
    unit = unit_of(service)
    return is_first(layout, service) and is_enabled(unit) and not is_active(unit)
