"""What a plan of seeding is made of: steps, and what each found."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Protocol

_BLOCKED = "for "


class State(Enum):
    """What a step found; only CREATE asks for work."""

    EXISTS = "exists"
    CREATE = "would create"
    DIFFERS = "differs, left alone"
    WAITING = "waiting"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a step found, in words; ``remedy`` is what an admin may do.

    Nothing else is done where it ``blocks``.
    """

    state: State
    detail: str = ""
    remedy: str = ""
    blocks: bool = False

    @classmethod
    def blocked_by(cls, by: str) -> "Finding":
        """Of a step that was not looked at, because another comes first."""
        return cls(state=State.WAITING, detail=f"{_BLOCKED}{by}")


class Step(Protocol):
    """One named piece of work. Both calls raise TargetError where a store is not as needed."""

    @property
    def name(self) -> str:
        """What the plan calls it."""

    def inspect(self) -> Finding:
        """Inspect what is there, and change nothing."""

    def apply(self) -> None:
        """Create what ``inspect`` found missing; harmless where somebody else was faster."""


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
        """What a step of a group found."""
        return cls(
            group=group,
            step=step,
            state=finding.state,
            detail=finding.detail,
            remedy=finding.remedy,
        )

    @property
    def is_blocked(self) -> bool:
        """Whether it only waits for another step."""
        return self.state is State.WAITING and self.detail.startswith(_BLOCKED)

    @classmethod
    def from_table(cls, table: Mapping[str, str]) -> "StepResult":
        """The line that ``as_table`` returned."""
        words = {name: table[name] for name in ("group", "step", "detail", "remedy")}
        return cls(state=State(table["state"]), **words)

    def as_table(self) -> dict[str, str]:
        """The line for JSON."""
        return {**asdict(self), "state": self.state.value}
