"""What the last run that filled the stores left undone."""

from collections.abc import Iterator
from typing import Any

from backendai_target.doctor.model import Finding, error
from backendai_target.doctor.scene import Scene
from backendai_target.seed.model import State
from backendai_target.seed.state import load_state

_AGAIN = "it is tried again by itself; at once by: sudo backendai-ctl seed apply"


def check_seeding(scene: Scene) -> Iterator[Finding]:
    """Every step that others wait for, with the remedy that the run named."""
    state = load_state(scene.layout)
    if not state or state.get("complete"):
        return
    for step in state.get("steps", ()):
        if _is_stuck(step):
            where = f"seed, {step['group']}: {step['step']}"
            yield error(step["detail"], where, step["remedy"] or _AGAIN)


def _is_stuck(step: dict[str, Any]) -> bool:
    """Not one that only waits for another, nor what an admin wants otherwise."""
    if step["state"] == State.DIFFERS.value:
        return bool(step["remedy"])
    return bool(step["state"] == State.WAITING.value and not step["detail"].startswith("for "))
