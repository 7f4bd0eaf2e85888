"""What the last run that filled the stores left undone."""

from collections.abc import Iterator

from backendai_ctl.doctor.host_view import Scene
from backendai_ctl.doctor.model import Finding, error
from backendai_ctl.seed.model import Line, State
from backendai_ctl.seed.state import lines_of, load_state

_AGAIN = "it is tried again by itself; at once by: sudo backendai-ctl seed apply"


def check_seeding(scene: Scene) -> Iterator[Finding]:
    """Every step that others wait for, with the remedy that the run named."""
    state = load_state(scene.layout)
    if not state or state.get("complete"):
        return
    for line in lines_of(state):
        if _is_stuck(line):
            where = f"seed, {line.group}: {line.step}"
            yield error(line.detail, where, line.remedy or _AGAIN)


def _is_stuck(line: Line) -> bool:
    """Not one that only waits for another, nor what an admin wants otherwise."""
    if line.state is State.DIFFERS:
        return bool(line.remedy)
    return line.state is State.WAITING and not line.is_held_up
