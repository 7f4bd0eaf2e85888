"""The parts of a seeding plan: steps and their findings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Protocol

_BLOCKED = "for "


class State(Enum):
    """The state that a step found; only CREATE asks for work."""

    EXISTS = "exists"
    CREATE = "would create"
    DIFFERS = "differs, left alone"
    WAITING = "waiting"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The finding of a step, in words; ``remedy`` is what an admin can do.

    If it ``blocks``, the steps that follow are not tried.
    """

    state: State
    detail: str = ""
    remedy: str = ""
    blocks: bool = False

    @classmethod
    def blocked_by(cls, by: str) -> "Finding":
        """Return the finding of a step that was skipped because another one must come first."""
        return cls(state=State.WAITING, detail=f"{_BLOCKED}{by}")


class Step(Protocol):
    """One named piece of work. Both calls raise TargetError if a store is not as needed."""

    @property
    def name(self) -> str:
        """The name in the plan."""

    def inspect(self) -> Finding:
        """Inspect the present state without changing anything."""

    def apply(self) -> None:
        """Create what ``inspect`` found missing; harmless if somebody else was faster."""


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """One line of a plan or a report."""

    group: str
    step: str
    state: State
    detail: str = ""
    remedy: str = ""

    @classmethod
    def of(cls, group: str, step: str, finding: Finding) -> "StepResult":
        """Return the line for the finding of one step of a group."""
        return cls(
            group=group,
            step=step,
            state=finding.state,
            detail=finding.detail,
            remedy=finding.remedy,
        )

    @property
    def is_blocked(self) -> bool:
        """Whether the step only waits for another one."""
        return self.state is State.WAITING and self.detail.startswith(_BLOCKED)

    @classmethod
    def from_table(cls, table: Mapping[str, str]) -> "StepResult":
        """Return the line that ``as_table`` returned as a table."""
        words = {name: table[name] for name in ("group", "step", "detail", "remedy")}
        return cls(state=State(table["state"]), **words)

    def as_table(self) -> dict[str, str]:
        """Return the line for JSON."""
        return {**asdict(self), "state": self.state.value}
