"""The plan: what each step finds, and what would be done; nothing is changed."""

from collections.abc import Iterator, Sequence

from backendai_ctl.base.errors import TargetError
from backendai_ctl.seed.groups import CLUSTER, Group
from backendai_ctl.seed.model import Finding, Line, State, Step

_STATE_WIDTH = 20
_FULL = 79


def plan(groups: Sequence[Group]) -> list[Line]:
    """One line a step. A step that depends on one that is still to be done says so."""
    lines: list[Line] = []
    pending: dict[str, str] = {}
    for group in groups:
        for step in group.steps:
            finding = _look(step, pending.get(group.name) or pending.get(CLUSTER))
            lines.append(Line.of(group.name, step.name, finding))
            if finding.blocks or (finding.state is State.WAITING):
                pending.setdefault(group.name, step.name)
            elif finding.state is State.CREATE and step.name in ("database", "schema"):
                pending.setdefault(group.name, f"+{step.name}")
    return lines


def _look(step: Step, pending: str | None) -> Finding:
    if pending is not None and pending.startswith("+"):
        return Finding(state=State.CREATE, detail=f"after the {pending[1:]}")
    if pending is not None:
        return Finding.held_up(pending)
    try:
        return step.look()
    except TargetError as error:
        return Finding(state=State.WAITING, detail=error.message, remedy=error.hint or "")


def render(lines: Sequence[Line]) -> str:
    """The plan as a table for 80 columns; long words go below their line."""
    return "\n".join(text for line in lines for text in _rendered(line)) + "\n"


def _rendered(line: Line) -> Iterator[str]:
    name = line.step if line.group == CLUSTER else f"{line.group}: {line.step}"
    head = f"{line.state.value:<{_STATE_WIDTH}} {name}"
    detail = " ".join(line.detail.split())
    if len(head) + len(detail) + 2 <= _FULL and detail:
        yield f"{head}  {detail}"
    else:
        yield head
        if detail:
            yield f"{'':<{_STATE_WIDTH}}   {detail}"
    if line.remedy:
        yield f"{'':<{_STATE_WIDTH}}   -> {line.remedy}"
