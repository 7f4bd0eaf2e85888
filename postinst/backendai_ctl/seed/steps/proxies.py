"""The step that sets the app proxy, by which users reach applications, in resource groups."""

from dataclasses import dataclass

from backendai_ctl.seed.data import Proxied
from backendai_ctl.seed.model import Finding, State
from backendai_ctl.seed.session import SeededDatabase


@dataclass(frozen=True, kw_only=True)
class ProxyStep:
    """The app proxy's address and token for each group that has none; set once, never changed."""

    database: SeededDatabase
    proxied: Proxied

    @property
    def name(self) -> str:
        """The name in the plan."""
        return f"{self.proxied.address} of {self.proxied.table}"

    def inspect(self) -> Finding:
        """List the groups that have no address and were never given one."""
        if not self._has_table():
            return Finding(state=State.CREATE)
        new = self._new()
        if new:
            return Finding(state=State.CREATE, detail=", ".join(new))
        known = self.database.connection.rows(
            f"SELECT DISTINCT {self.proxied.address} FROM {self.proxied.table}"
            f" WHERE {self.proxied.address} > '' ORDER BY 1"
        )
        return Finding(state=State.EXISTS, detail=", ".join(row[0] for row in known) or "none")

    def apply(self) -> None:
        """Set both in each group, and record it."""
        proxied, resolve = self.proxied, self.database.answers.resolve
        address, token = str(resolve(proxied.to)), str(resolve(proxied.by))
        # Names come from the shipped data, never from an admin.
        statement = (
            f"UPDATE {proxied.table} SET {proxied.address} = $1, {proxied.token} = $2"
            f" WHERE name = $3 AND {self._is_open('$4')}"
        )
        for group in self._new():
            self.database.connection.execute(
                *self.database.marks.prepared(self._mark(group), self.database.version),
                (statement, (address, token, group, list(proxied.examples))),
            )

    def _new(self) -> list[str]:
        rows = self.database.connection.rows(
            f"SELECT name FROM {self.proxied.table} WHERE {self._is_open('$1')} ORDER BY 1",
            list(self.proxied.examples),
        )
        names = [str(row[0]) for row in rows]
        return [name for name in names if self.database.marks.get(self._mark(name)) is None]

    def _is_open(self, examples: str) -> str:
        """Return the SQL condition of a group without an address, or with an example's."""
        column = self.proxied.address
        return f"({column} IS NULL OR {column} = '' OR {column} = ANY({examples}::text[]))"

    def _has_table(self) -> bool:
        return not self.database.connection.value(
            "SELECT to_regclass($1) IS NULL", self.proxied.table
        )

    def _mark(self, group: str) -> str:
        return f"proxied/{self.proxied.table}/{group}"
