"""What a plan of seeding is made of: steps, and what each found."""

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Protocol


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


class Step(Protocol):
    """One named piece of work. Both calls raise TargetError where a store is not as needed."""

    @property
    def name(self) -> str:
        """What the plan calls it."""

    def look(self) -> Finding:
        """Tell what is there; changes nothing."""

    def act(self) -> None:
        """Create what ``look`` found missing; harmless where somebody else was faster."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a plan or a report."""

    group: str
    step: str
    state: State
    detail: str = ""
    remedy: str = ""

    def as_table(self) -> dict[str, str]:
        """The line for JSON."""
        return {**asdict(self), "state": self.state.value}
