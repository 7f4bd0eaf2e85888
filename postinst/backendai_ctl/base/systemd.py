"""The only module that talks to systemd: reads the state of units, and starts and stops them.

On a host without systemd, no unit is active.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.programs import run_program
from backendai_ctl.base.text import fields_of, lines_of

_SECONDS = 10.0
_CONTROL_SECONDS = 30.0
# What a unit may take: TimeoutStopSec= for its program that stops it, and once more until it has
# ended; TimeoutStartSec= until it answers.
UNIT_SECONDS = 360.0
_PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,MainPID,ControlGroup,"
    "ActiveEnterTimestamp,StateChangeTimestamp,ExecMainStartTimestampMonotonic,"
    "ConditionResult,Result,NRestarts,Job"
)


_MICRO = 1_000_000
_PAUSE_SECONDS = 0.5


def has_systemd(layout: Layout) -> bool:
    """Whether systemd runs here and ``layout`` is this host rather than a folder."""
    return layout.root == Path("/") and Path("/run/systemd/system").is_dir()


def unit_of(service: str) -> str:
    """Return the name of the unit of ``service``."""
    return f"backendai-{service}.service"


def command(action: str, *words: str) -> list[str]:
    """Return the command that requests ``action`` from systemd."""
    return ["systemctl", action, *words]


def show_units(units: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Return the properties of each of ``units`` by one call; none if systemd does not answer."""
    if not units:
        return {}
    try:
        done = run_program(command("show", f"--property={_PROPERTIES}", *units), seconds=_SECONDS)
    except NotReadyError:
        return {}
    if done.status != 0:
        return {}
    # systemd prints the units in their order, with an empty line between two.
    blocks = [lines_of(block) for block in done.stdout.split("\n\n")]
    return {
        unit: {name: value for name, equals, value in map(_pair, block) if equals}
        for unit, block in zip(units, blocks, strict=False)
    }


def _pair(line: str) -> tuple[str, str, str]:
    return line.partition("=")


def show_unit(unit: str) -> Mapping[str, str]:
    """Return the properties of ``unit``; empty if systemd does not answer."""
    return show_units([unit]).get(unit, {})


def is_active(unit: str) -> bool:
    """Whether ``unit`` runs or is starting."""
    return show_unit(unit).get("ActiveState") in ("active", "activating", "reloading")


def wait_while_starting(unit: str, seconds: float) -> None:
    """Wait, for ``seconds`` at most, until ``unit`` does not start any more."""
    until = time.monotonic() + seconds
    while show_unit(unit).get("ActiveState") == "activating" and time.monotonic() < until:
        time.sleep(_PAUSE_SECONDS)


def is_enabled(unit: str) -> bool:
    """Whether ``unit`` starts with the host."""
    return not control("is-enabled", unit)


def control(action: str, *units: str, wait: bool = True, seconds: float = _CONTROL_SECONDS) -> str:
    """Run a command of systemctl on ``units``; return why it failed, or an empty text.

    Without ``wait``, the request is queued and its result is not awaited.
    """
    options = () if wait else ("--no-block",)
    try:
        done = run_program(command(action, *options, *units), seconds=seconds)
    except NotReadyError as error:
        return error.message
    return (done.stderr.strip() or f"exit status {done.status}") if done.status else ""


def start_at_once(unit: str) -> str:
    """Start ``unit`` before the units that it is ordered after; do not wait.

    Returns why it could not be started, or an empty text.
    """
    return control("start", "--job-mode=ignore-dependencies", unit, wait=False)


def ask(layout: Layout, action: str, unit: str) -> None:
    """Ask systemd, if it runs, to start, restart or stop ``unit``; do not wait."""
    if has_systemd(layout):
        control(action, unit, wait=False)


def repeat(
    layout: Layout, name: str, words: Sequence[str], *, seconds: int, with_unit: str
) -> None:
    """Make systemd, if it runs, run ``words`` every ``seconds`` s until NAME.timer is stopped.

    The timer ends with ``with_unit`` and with the host; a timer that exists already goes on.
    """
    if not has_systemd(layout):
        return
    timer = ["systemd-run", "--quiet", "--collect", f"--unit={name}"]
    timer += [f"--on-active={seconds}s", f"--on-unit-inactive={seconds}s"]
    timer += ["--timer-property=AccuracySec=10s", f"--timer-property=PartOf={with_unit}"]
    with contextlib.suppress(NotReadyError):  # whoever asks tries it at the next start
        run_program([*timer, *words], seconds=_CONTROL_SECONDS)


def start_transient(unit: str, words: Sequence[str], *, seconds: int) -> str:
    """Run ``words`` as a unit that systemd forgets at its end, after ``seconds`` s at most.

    Returns why it could not be started, or an empty text.
    """
    run = ["systemd-run", "--quiet", "--collect", f"--unit={unit}"]
    run += [f"--property=RuntimeMaxSec={seconds}", "--property=UMask=0077"]
    try:
        done = run_program([*run, *words], seconds=_CONTROL_SECONDS)
    except NotReadyError as error:
        return error.message
    return (done.stderr.strip() or f"exit status {done.status}") if done.status else ""


def reload_units(layout: Layout) -> None:
    """Make systemd, if it runs, read its units again."""
    if has_systemd(layout):
        control("daemon-reload")


def process_age(unit: str) -> float | None:
    """Return how many seconds the main process of ``unit`` has run; None if it has none."""
    state = show_unit(unit)
    began = state.get("ExecMainStartTimestampMonotonic", "0")
    if state.get("MainPID", "0") == "0" or began == "0":
        return None
    return time.monotonic() - int(began) / _MICRO


def list_units(pattern: str) -> Sequence[str]:
    """Return the units that match ``pattern`` and failed or are loaded, by their names."""
    try:
        done = run_program(
            command("list-units", "--all", "--plain", "--no-legend", pattern),
            seconds=_SECONDS,
        )
    except NotReadyError:
        return ()
    return tuple(fields[0] for fields in map(fields_of, lines_of(done.stdout)) if fields)
