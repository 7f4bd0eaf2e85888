"""Stops a service for work on its database, and starts it again if it ran."""

from collections.abc import Callable

from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import control, has_systemd, is_active, unit_of

_STOP_SECONDS = 120
_START_SECONDS = 240


def stop_for_work(layout: Layout, service: str) -> None:
    """Stop the service, and record that it ran; NotReadyError if it does not stop."""
    if not has_systemd(layout) or not is_active(unit_of(service)):
        return
    private_writer().ensure_folder(layout.upgrades, mode=0o755)
    private_writer().replace(layout.stopped_note(service), "")
    problem = control("stop", unit_of(service), seconds=_STOP_SECONDS)
    if problem:
        raise NotReadyError(f"{unit_of(service)} cannot be stopped: {problem}")


def start_stopped(layout: Layout, service: str, say: Callable[[str], None]) -> None:
    """Start the service if ``stop_for_work`` stopped it; a failing start is reported."""
    note = layout.stopped_note(service)
    if not note.exists():
        return
    note.unlink(missing_ok=True)
    if has_systemd(layout) and control("start", unit_of(service), seconds=_START_SECONDS):
        say(f"{unit_of(service)} did not start; see: systemctl status {unit_of(service)}")
