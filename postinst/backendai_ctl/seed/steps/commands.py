"""The step that runs a command of the release on a database that has its first rows."""

from dataclasses import dataclass

from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.seed.data import Command
from backendai_ctl.seed.model import Finding, State
from backendai_ctl.seed.session import SeededDatabase

_THERE = "there already"
_NOW = "SELECT now()::text"


@dataclass(frozen=True, kw_only=True)
class CommandStep:
    """One command, run once if its query asks for it; an admin's later changes stay.

    A second run would repeat what an admin has reverted, so a mark prevents it. The mark is also
    set if the database has the command's result from elsewhere: a migration, an official guide.
    The first run is followed by a statement that restores what an admin has decided before it;
    another mark keeps the time, so that a run that is killed in between is completed.
    """

    database: SeededDatabase
    command: Command

    @property
    def name(self) -> str:
        """The name in the plan."""
        return self.command.name

    def inspect(self) -> Finding:
        """Detect whether the command was run or has to be."""
        at = self.database.marks.get(self._mark)
        if at is not None:
            return Finding(state=State.EXISTS, detail=f"from {at}")
        if self._is_wanted():
            words = " ".join(("backend.ai", *self.database.data.command, *self.command.words))
            return Finding(state=State.CREATE, detail=words)
        return Finding(state=State.CREATE, detail=f"{_THERE}: only a mark")

    def apply(self) -> None:
        """Run the command if it is wanted, check its result, restore, and set the mark."""
        database = self.database
        if self._is_wanted():
            self._note_begin()
            database.cli.run(*self.command.words)
            if self._is_wanted():
                raise NotReadyError(
                    f"{database.target}: {self.name} are still missing",
                    hint=f"see {database.cli.log}",
                )
        begin = database.marks.get(self._begin_mark)
        statements = database.marks.prepared(self._mark, database.version)
        if begin is not None and self.command.restore:
            statements = [(self.command.restore, (begin,)), *statements]
        database.connection.execute(*statements)

    def _note_begin(self) -> None:
        """Keep the time before the first run, as the server reads its clock."""
        marks = self.database.marks
        if marks.get(self._begin_mark) is None:
            marks.set(self._begin_mark, str(self.database.connection.value(_NOW)))

    def _is_wanted(self) -> bool:
        return bool(self.database.connection.value(self.command.wanted))

    @property
    def _mark(self) -> str:
        return f"command/{self.command.name}"

    @property
    def _begin_mark(self) -> str:
        return f"{self._mark}/begin"
