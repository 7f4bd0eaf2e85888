"""Starts the services that wait for their stores, once the stores are filled."""

from collections.abc import Callable

from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import control, has_systemd, is_enabled, unit_of
from backendai_ctl.services.recipe import load_recipe
from backendai_ctl.stores.readiness import check_needs


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
    filled, a service with a database waits, whose schema alone does not make it ready.
    """
    left: dict[str, str] = {}
    for service in waiting_services(layout):
        if layout.failure_note(service).exists():
            left[service] = "its database is not upgraded"
            continue
        recipe = load_recipe(layout, service)
        if not is_filled and recipe.needs.database is not None:
            left[service] = "its stores are not filled"
            continue
        try:
            check_needs(layout, recipe)
        except TargetError as error:
            left[service] = error.message
            continue
        unit = unit_of(service)
        if has_systemd(layout) and is_enabled(unit):
            say(f"starting {unit}")
            if control("start", unit, wait=False):
                left[service] = f"systemd did not take the start of {unit}"
                continue
        (layout.waiting / service).unlink(missing_ok=True)
    return left
