"""The step that lets the users of a domain use the configured volumes."""

import json
from dataclasses import dataclass

from backendai_ctl.seed.data import Grant
from backendai_ctl.seed.model import Finding, State
from backendai_ctl.seed.session import Filled
from backendai_ctl.seed.steps.database import state_of_accounts


@dataclass(frozen=True, kw_only=True)
class GrantStep:
    """Rights on each volume that a row knows nothing of; given once, never reduced."""

    one: Filled
    grant: Grant

    @property
    def name(self) -> str:
        """What the plan calls it."""
        return f"{self.grant.column} of {self.grant.row}"

    def look(self) -> Finding:
        """Tell which volumes the row lacks, and was never given."""
        known = self._column()
        if known is None:
            settled = state_of_accounts(self.one)
            if settled is not None:
                return Finding(state=State.DIFFERS, detail=f"{self.grant.row}: no such row")
            return Finding(state=State.CREATE)
        new = [
            volume
            for volume in self._volumes()
            if volume not in known and self.one.marks.get(self._mark(volume)) is None
        ]
        if known and self._is_foreign():
            new = []  # an admin's own list, where nobody asked for ours
        if new:
            return Finding(state=State.CREATE, detail=", ".join(new))
        return Finding(state=State.EXISTS, detail=", ".join(known) or "none")

    def act(self) -> None:
        """Add them, with the note that they were."""
        grant = self.grant
        for volume in self._volumes():
            if self.one.marks.get(self._mark(volume)) is not None:
                continue
            rights = json.dumps({volume: list(grant.permissions)})
            # Names come from the shipped data, never from an admin.
            statement = (
                f"UPDATE {grant.table} SET {grant.column} = {grant.column} || $1::jsonb"
                f" WHERE name = $2 AND NOT {grant.column} ? $3"
            )
            self.one.database.execute(
                *self.one.marks.prepared(self._mark(volume), self.one.version),
                (statement, (rights, grant.row, volume)),
            )

    def _column(self) -> dict[str, object] | None:
        grant = self.grant
        text = self.one.database.value(
            f"SELECT {grant.column}::text FROM {grant.table} WHERE name = $1", grant.row
        )
        if text is None:
            return None
        table: dict[str, object] = json.loads(text)
        return table

    def _is_foreign(self) -> bool:
        settled = state_of_accounts(self.one)
        return settled is not None and settled.state is State.DIFFERS

    def _volumes(self) -> list[str]:
        return [self.one.answers.fill(volume) for volume in self.grant.volumes]

    def _mark(self, volume: str) -> str:
        return f"grant/{self.grant.table}/{self.grant.row}/{volume}"
