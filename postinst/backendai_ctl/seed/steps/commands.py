"""The step that runs a command of the release on a database that has its first rows."""

from dataclasses import dataclass

from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.seed.data import Command
from backendai_ctl.seed.model import Finding, State
from backendai_ctl.seed.session import Filled

_THERE = "there already"


@dataclass(frozen=True, kw_only=True)
class CommandStep:
    """One command, run once where its question says so; an admin's later changes stay.

    A run repeats what an admin has taken back since, so a mark ends it for good, also in a
    database that has from elsewhere what the command makes: a migration, an official guide.
    """

    one: Filled
    command: Command

    @property
    def name(self) -> str:
        """What the plan calls it."""
        return self.command.name

    def look(self) -> Finding:
        """Find out whether it was run, or has to be."""
        at = self.one.marks.get(self._mark)
        if at is not None:
            return Finding(state=State.EXISTS, detail=f"from {at}")
        if self._is_wanted():
            words = " ".join(("backend.ai", *self.one.data.command, *self.command.words))
            return Finding(state=State.CREATE, detail=words)
        return Finding(state=State.CREATE, detail=f"{_THERE}: only a mark")

    def act(self) -> None:
        """Run it where it is wanted, check that it did its work, and set the mark."""
        one = self.one
        if self._is_wanted():
            one.cli.run(*self.command.words)
            if self._is_wanted():
                raise NotReadyError(
                    f"{one.target}: {self.name} are still missing", hint=f"see {one.cli.log}"
                )
        one.marks.set(self._mark, one.version)

    def _is_wanted(self) -> bool:
        return bool(self.one.database.value(self.command.wanted))

    @property
    def _mark(self) -> str:
        return f"command/{self.command.name}"
