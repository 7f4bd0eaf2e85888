"""The step that grants the fixtures' rows rights on the configured volumes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from backendai_ctl.seed.data import Grant
from backendai_ctl.seed.model import Finding, State
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.seed.steps.database import state_of_accounts

_SHOWN = 3
_LEFT = "left"  # a mark's value if an admin's own list stays without the volume
Rights = Mapping[str, object]  # the permissions on each volume


class Verdict(Enum):
    """The decision for a row and a volume."""

    GIVE = "give"
    KNOWN = "known"  # the row has rights on the volume
    LEAVE = "leave"  # an admin has changed the row


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A row and a volume that have no mark."""

    row: str
    volume: str
    verdict: Verdict

    def __str__(self) -> str:
        return f"{self.row}: {self.volume}"


@dataclass(frozen=True, kw_only=True)
class GrantStep:
    """Rights on each volume for the fixtures' rows of one table; decided once, never reduced.

    A row gets them only while it is as the fixture or this step left it. A mark says that a row
    and a volume are decided, either way: what an admin removes stays removed. ``named`` are
    volumes for which an admin asks: each row gets them.
    """

    database: SeededDatabase
    grant: Grant
    named: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name in the plan."""
        return f"{self.grant.column} of {self.grant.table}"

    def inspect(self) -> Finding:
        """List the rows that have no decision yet."""
        rows = self._rows()
        if self._fixture_rows and not rows and state_of_accounts(self.database) is None:
            return Finding(state=State.CREATE)
        undecided = self._undecided(rows)
        given = [str(pair) for pair in undecided if pair.verdict is Verdict.GIVE]
        if given:
            return Finding(state=State.CREATE, detail=_listed(given))
        left = [str(pair) for pair in undecided if pair.verdict is Verdict.LEAVE]
        if undecided:
            detail = f"left as they are: {_listed(left)}" if left else "there already: only a mark"
            return Finding(state=State.CREATE, detail=detail)
        known = sorted({volume for rights in rows.values() for volume in rights})
        return Finding(state=State.EXISTS, detail=_listed(known) or "none")

    def apply(self) -> None:
        """Give the rights and set the mark of each row and volume in one transaction."""
        for pair in self._undecided(self._rows()):
            left = pair.verdict is Verdict.LEAVE
            mark = self._mark(pair.row, pair.volume)
            statements = self.database.marks.prepared(
                mark, _LEFT if left else self.database.version
            )
            if pair.verdict is Verdict.GIVE:
                statements.append(self._statement(pair))
            self.database.connection.execute(*statements)

    def _undecided(self, rows: Mapping[str, Rights]) -> list[Pair]:
        marks = self.database.marks.values(self._prefix)
        return [
            Pair(row=row, volume=volume, verdict=self._verdict(row, volume, rights, marks))
            for row, rights in rows.items()
            for volume in self._volumes()
            if self._mark(row, volume) not in marks or (self.named and volume not in rights)
        ]

    def _verdict(self, row: str, volume: str, rights: Rights, marks: Mapping[str, str]) -> Verdict:
        own = self._mark(row, "")
        is_ours = any(mark.startswith(own) and marks[mark] != _LEFT for mark in marks)
        if not self.named and not is_ours and not _same(rights, self._fixture_rows[row]):
            return Verdict.LEAVE
        return Verdict.KNOWN if volume in rights else Verdict.GIVE

    def _statement(self, pair: Pair) -> tuple[str, tuple[object, ...]]:
        grant = self.grant
        # Names come from the shipped data, never from an admin.
        statement = (
            f"UPDATE {grant.table} SET {grant.column} = {grant.column} || $1::jsonb"
            f" WHERE {grant.key}::text = $2 AND NOT {grant.column} ? $3"
        )
        rights = json.dumps({pair.volume: list(grant.permissions)})
        return statement, (rights, pair.row, pair.volume)

    def _rows(self) -> dict[str, Rights]:
        """Return the present rights of the fixtures' rows that still exist."""
        grant = self.grant
        found = self.database.connection.rows(
            f"SELECT {grant.key}::text, {grant.column}::text FROM {grant.table}"
            f" WHERE {grant.key}::text = ANY($1::text[]) ORDER BY 1",
            list(self._fixture_rows),
        )
        return {str(row[0]): json.loads(row[1]) for row in found}

    @cached_property
    def _fixture_rows(self) -> dict[str, Rights]:
        """The rights of the same rows as the release ships them."""
        grant = self.grant
        return {
            str(row[grant.key]): row.get(grant.column) or {}
            for fixture in self.database.fixtures.files.values()
            for row in fixture.get(grant.table, ())
        }

    def _volumes(self) -> list[str]:
        answers = self.database.answers
        return list(self.named) or [
            each.fill(volume) for volume in self.grant.volumes for each in answers.each(volume)
        ]

    @property
    def _prefix(self) -> str:
        return f"grant/{self.grant.table}/"

    def _mark(self, row: str, volume: str) -> str:
        return f"{self._prefix}{row}/{volume}"


def _same(rights: Rights, others: Rights) -> bool:
    """Compare regardless of the order of permissions, which the release keeps as a set."""
    return _sorted(rights) == _sorted(others)


def _sorted(rights: Rights) -> dict[str, list[str]]:
    return {
        volume: sorted(map(str, given)) if isinstance(given, list) else [str(given)]
        for volume, given in rights.items()
    }


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
