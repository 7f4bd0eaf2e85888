"""Steps for the registries of site.toml: their rows in the database, and who may use them."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.files import private_writer
from backendai_ctl.registries.model import Registry
from backendai_ctl.seed.data import Allowance, Registries
from backendai_ctl.seed.fixtures import read_fixtures
from backendai_ctl.seed.model import Finding, State
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.seed.steps.cluster import fingerprint
from backendai_ctl.seed.steps.database import is_seeded, state_of_accounts
from backendai_ctl.seed.steps.shared import shared_mark

# For ids of rows that have no other source of an id.
_NAMESPACE = uuid.UUID("5f0c9a4e-31c7-4f0e-8d0d-6b1c6c7f3f6a")
_UPDATE = {"__mode": "update"}


class Due(Enum):
    """The work that is due on one row."""

    NOTHING = ""
    INSERT = "insert"
    UPDATE = "update"
    EDITED = "changed in Backend.AI"
    REMOVED = "removed in Backend.AI"


@dataclass(frozen=True, kw_only=True)
class RegistryStep:
    """One row for each project, created if absent, and changed only if nobody else changed it."""

    database: SeededDatabase
    spec: Registries
    registry: Registry

    @property
    def name(self) -> str:
        """The name in the plan."""
        label = self.registry.section.partition(".")[2]
        return f"registry {self.registry.name}" + (f" ({label})" if label else "")

    def inspect(self) -> Finding:
        """Compare each row with site.toml and with what this tool last wrote."""
        due = dict(self._due())
        if self.registry.is_default and _is_foreign(self.database):
            return Finding(state=State.EXISTS, detail="not asked for")
        found = {kind: [name for name, its_kind in due.items() if its_kind is kind] for kind in Due}
        todo = found[Due.INSERT] + found[Due.UPDATE]
        if todo:
            return Finding(state=State.CREATE, detail=", ".join(todo))
        other = [
            f"{', '.join(found[kind])}: {kind.value}"
            for kind in (Due.EDITED, Due.REMOVED)
            if found[kind]
        ]
        if other:
            return Finding(state=State.DIFFERS, detail="; ".join(other))
        return Finding(state=State.EXISTS, detail=", ".join(due))

    def apply(self) -> None:
        """Create and change rows by the release's own command, which handles related rows."""
        marks = self.database.marks
        for project, due in dict(self._due()).items():
            if due not in (Due.INSERT, Due.UPDATE):
                continue
            known = self._row(project)
            row = self._wanted(project, str(known["id"]) if known else None)
            written = self._print(row)
            # Until it is certain which of the two is in the database, both count as this tool's.
            before = [self._print(known)] if known else []
            marks.set(self._mark(project), " ".join([*before, written]))
            if known is None:
                marks.drop(shared_mark(self.spec.table))  # no user can read the new row yet
            self._load({**(_UPDATE if known else {}), self.spec.table: [row]})
            now = self._row(project)
            if now is None or self._print(now) != written:
                raise NotReadyError(
                    f"{self.database.target}: {self.registry.name}/{project} is not in "
                    f"{self.spec.table} after it was loaded",
                    hint=f"see {self.database.cli.log}",
                )
            marks.set(self._mark(project), written)
            marks.drop(scan_mark(self.registry.name))

    def _load(self, fixture: Mapping[str, object]) -> None:
        path = self.database.layout.seed_state / "fixture-registry.json"
        private_writer().replace(path, json.dumps(fixture))
        try:
            self.database.cli.run("fixture", "populate", str(path))
        finally:
            path.unlink(missing_ok=True)

    def _due(self) -> Iterator[tuple[str, Due]]:
        for project in self.registry.projects or ("",):
            yield project, self._judge(project, self._row(project))

    def _judge(self, project: str, row: Mapping[str, Any] | None) -> Due:
        mark = self.database.marks.get(self._mark(project))
        if row is None:
            was_there = mark is not None or (self._is_shipped(project) and is_seeded(self.database))
            return Due.REMOVED if was_there else Due.INSERT
        found = self._print(row)
        if found == self._print(self._wanted(project, str(row["id"]))):
            return Due.NOTHING
        is_ours = self._is_untouched(project, row) if mark is None else found in mark.split()
        return Due.UPDATE if is_ours else Due.EDITED

    def _row(self, project: str) -> Mapping[str, Any] | None:
        # The name of the table comes from the shipped data, never from an admin.
        rows = self.database.connection.rows(
            f"SELECT id::text, url, type::text, username, password FROM {self.spec.table}"
            " WHERE registry_name = $1 AND coalesce(project, '') = $2 ORDER BY id LIMIT 1",
            self.registry.name,
            project,
        )
        return dict(rows[0]) if rows else None

    def _wanted(self, project: str, known_id: str | None) -> dict[str, Any]:
        registry = self.registry
        named = f"registry/{registry.name}/{project}"
        return {
            "id": known_id or str(uuid.uuid5(_NAMESPACE, named)),
            "registry_name": registry.name,
            "url": registry.url,
            "type": registry.type,
            "project": project or None,
            "username": registry.user or None,
            "password": registry.password or None,
        }

    @staticmethod
    def _print(row: Mapping[str, Any]) -> str:
        values = [row["url"], row["type"], row["username"] or "", row["password"] or ""]
        return fingerprint("registry", json.dumps(values))

    def _is_untouched(self, project: str, row: Mapping[str, Any]) -> bool:
        """Whether the row is as a fixture created it, before rows had marks."""
        if row["username"] or row["password"]:
            return False
        shipped = {(row["id"], row["url"], row["type"]) for row in self._shipped()}
        by_old_packages = str(uuid.uuid5(_NAMESPACE, f"{row['url']}/{project}"))
        return row["id"] == by_old_packages or (row["id"], row["url"], row["type"]) in shipped

    def _is_shipped(self, project: str) -> bool:
        wanted = (self.registry.name, project)
        return wanted in {(row["registry_name"], row.get("project")) for row in self._shipped()}

    def _shipped(self) -> Sequence[Mapping[str, Any]]:
        return shipped_rows(self.database, self.spec.table)

    def _mark(self, project: str) -> str:
        return f"registry/{self.registry.name}/{project}"


@dataclass(frozen=True, kw_only=True)
class AllowanceStep:
    """The registries that the users of a domain may use: added once, never removed."""

    database: SeededDatabase
    spec: Allowance
    registries: Sequence[Registry]

    @property
    def name(self) -> str:
        """The name in the plan."""
        return f"{self.spec.column} of {self.spec.row}"

    def inspect(self) -> Finding:
        """Return the names that the row lacks and was never given."""
        known = self._known()
        if known is None:
            if state_of_accounts(self.database) is not None:
                return Finding(state=State.DIFFERS, detail=f"{self.spec.row}: no such row")
            return Finding(state=State.CREATE)
        new = list(self._new(known))
        if new:
            return Finding(state=State.CREATE, detail=", ".join(new))
        return Finding(state=State.EXISTS, detail=", ".join(known) or "none")

    def apply(self) -> None:
        """Add the names, and record it."""
        spec = self.spec
        for name in self._new(self._known() or []):
            # The names of table and column come from the shipped data, never from an admin.
            statement = (
                f"UPDATE {spec.table} SET {spec.column} = array_append({spec.column}, $1)"
                f" WHERE name = $2 AND NOT $1 = ANY({spec.column})"
            )
            self.database.connection.execute(
                *self.database.marks.prepared(self._mark(name), self.database.version),
                (statement, (name, spec.row)),
            )

    def _new(self, known: Sequence[str]) -> Iterator[str]:
        foreign = _is_foreign(self.database)
        shipped = self._shipped() if is_seeded(self.database) else frozenset()
        for name in dict.fromkeys(
            registry.name
            for registry in self.registries
            # The local registry, too: sessions need no permission, but the Web UI lists by it.
            if not (foreign and registry.is_default)
        ):
            # A name that a fixture brought and that is gone was removed before there were marks.
            is_gone = name in shipped or self.database.marks.get(self._mark(name)) is not None
            if name not in known and not is_gone:
                yield name

    def _known(self) -> list[str] | None:
        spec = self.spec
        rows = self.database.connection.rows(
            f"SELECT {spec.column} FROM {spec.table} WHERE name = $1", spec.row
        )
        return list(rows[0][0] or []) if rows else None

    def _shipped(self) -> frozenset[str]:
        rows = shipped_rows(self.database, self.spec.table)
        return frozenset(
            name
            for row in rows
            if row.get("name") == self.spec.row
            for name in row.get(self.spec.column, [])
        )

    def _mark(self, name: str) -> str:
        return f"grant/{self.spec.table}/{self.spec.row}/{self.spec.column}/{name}"


def scan_mark(name: str) -> str:
    """Return the mark that holds the number of images in the last scan of a registry."""
    return f"images/{name}"


def shipped_rows(database: SeededDatabase, table: str) -> Sequence[Mapping[str, Any]]:
    """Return the rows of a table in the release's own fixtures, as shipped."""
    files = read_fixtures(database.layout.fixtures(database.data.service), database.profile)
    return [row for file in files.values() for row in file.get(table, [])]


def _is_foreign(database: SeededDatabase) -> bool:
    """Whether somebody else has filled the database."""
    settled = state_of_accounts(database)
    return settled is not None and settled.state is State.DIFFERS
