"""The plan: what each step finds and would do; nothing is changed."""

from collections.abc import Iterator, Sequence

from backendai_ctl.base.errors import TargetError
from backendai_ctl.seed.groups import CLUSTER, Group
from backendai_ctl.seed.model import Finding, State, Step, StepResult

_STATE_WIDTH = 20
_FULL = 79


def plan(groups: Sequence[Group]) -> list[StepResult]:
    """Return one line for each step, which says so if it depends on a step still to be done."""
    results: list[StepResult] = []
    pending: dict[str, str] = {}
    for group in groups:
        for step in group.steps:
            finding = _look(step, pending.get(group.name) or pending.get(CLUSTER))
            results.append(StepResult.of(group.name, step.name, finding))
            if finding.blocks or (finding.state is State.WAITING):
                pending.setdefault(group.name, step.name)
            elif finding.state is State.CREATE and step.name in ("database", "schema"):
                pending.setdefault(group.name, f"+{step.name}")
    return results


def _look(step: Step, pending: str | None) -> Finding:
    if pending is not None and pending.startswith("+"):
        return Finding(state=State.CREATE, detail=f"after the {pending[1:]}")
    if pending is not None:
        return Finding.blocked_by(pending)
    try:
        return step.inspect()
    except TargetError as error:
        return Finding(state=State.WAITING, detail=error.message, remedy=error.hint or "")


def render(results: Sequence[StepResult]) -> str:
    """Return the plan as a table for 80 columns; long texts go below their result."""
    return "\n".join(text for result in results for text in _rendered(result)) + "\n"


def _rendered(result: StepResult) -> Iterator[str]:
    name = result.step if result.group == CLUSTER else f"{result.group}: {result.step}"
    head = f"{result.state.value:<{_STATE_WIDTH}} {name}"
    detail = " ".join(result.detail.split())
    if len(head) + len(detail) + 2 <= _FULL and detail:
        yield f"{head}  {detail}"
    else:
        yield head
        if detail:
            yield f"{'':<{_STATE_WIDTH}}   {detail}"
    if result.remedy:
        yield f"{'':<{_STATE_WIDTH}}   -> {result.remedy}"
