"""Checks what the last seeding run left undone."""

from collections.abc import Iterator

from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, error
from backendai_ctl.seed.model import State, StepResult
from backendai_ctl.seed.state import load_state, results_of

_AGAIN = "it is tried again by itself; at once by: sudo backendai-ctl seed apply"


def check_seeding(view: HostView) -> Iterator[Finding]:
    """Yield every step that others wait for, with the remedy that the run named."""
    state = load_state(view.layout)
    if not state or state.get("complete"):
        return
    for result in results_of(state):
        if _is_stuck(result):
            where = f"seed, {result.group}: {result.step}"
            yield error(result.detail, where, result.remedy or _AGAIN)


def _is_stuck(result: StepResult) -> bool:
    """Whether the step neither waits for another one nor differs by the admin's choice."""
    if result.state is State.DIFFERS:
        return bool(result.remedy)
    return result.state is State.WAITING and not result.is_blocked
