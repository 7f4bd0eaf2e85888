"""The release's own fixtures, made fit to load: broken values mended, no public accounts."""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backendai_ctl.base.errors import RecipeError
from backendai_ctl.seed.accounts import Account, Deriver, Row, accounts_of, renew
from backendai_ctl.seed.data import Line, Registries

# Keys of a fixture that are no table.
_RESERVED = "__"
# For ids of rows that the release has none for.
_NAMESPACE = uuid.UUID("5f0c9a4e-31c7-4f0e-8d0d-6b1c6c7f3f6a")


@dataclass(frozen=True, kw_only=True)
class Fixtures:
    """The fixtures in the order in which they load, and what was changed in them."""

    files: Mapping[str, Mapping[str, Any]]
    accounts: tuple[Account, ...]
    normalised: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Values:
    """What of this site goes into the fixtures."""

    deriver: Deriver
    admin_email: str
    resolve: Callable[[object], object]  # a recipe's value to this site's
    answer: Callable[[str], str]


def prepare(folder: Path, line: Line, values: Values) -> Fixtures:
    """Read the fixtures that ``line`` names and make them this installation's.

    The same input gives the same rows. Raises RecipeError where one is missing or broken.
    """
    paths = {name: folder / f"example-{name}.json" for name in line.fixtures}
    files = {
        name: _read(path)
        for name, path in paths.items()
        if name not in line.optional or path.exists()
    }
    merged = _merged(files)
    normalised = list(_mend_integers(merged, line.integers))
    for setting in line.settings:
        for row in merged.get(setting.table, []):
            if setting.column in row:
                row[setting.column] = values.resolve(setting.value)
    if line.registries is not None:
        for fixture in files.values():
            _set_registries(fixture, line.registries, values.answer)
    accounts: list[Account] = []
    if line.accounts is not None:
        # A fixture that only changes rows names them by their id alone.
        users = [row for row in merged.get(line.accounts.users, []) if "role" in row]
        pairs = merged.get(line.accounts.keypairs, [])
        renew(merged, line.accounts, values.deriver, values.admin_email)
        accounts = accounts_of(users, pairs)
    return Fixtures(files=files, accounts=tuple(accounts), normalised=tuple(normalised))


def tables_of(fixture: Mapping[str, Any]) -> list[str]:
    """The tables that a fixture has rows for."""
    return [name for name, rows in fixture.items() if not name.startswith(_RESERVED) and rows]


def _read(path: Path) -> dict[str, Any]:
    try:
        fixture = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: {error}", hint="reinstall the service's package") from error
    if not isinstance(fixture, dict):
        raise RecipeError(f"{path}: is not a table of tables")
    return fixture


def _merged(files: Mapping[str, dict[str, Any]]) -> dict[str, list[Row]]:
    """The rows of each table from all files; changing a row changes it in its file."""
    merged: dict[str, list[Row]] = {}
    for fixture in files.values():
        for table in tables_of(fixture):
            merged.setdefault(table, []).extend(fixture[table])
    return merged


def _mend_integers(tables: Mapping[str, list[Row]], columns: tuple[str, ...]) -> list[str]:
    told = []
    for dotted in columns:
        table, _, column = dotted.partition(".")
        broken = [row for row in tables.get(table, []) if isinstance(row.get(column), str)]
        for row in broken:
            row[column] = int(row[column])
        if broken:
            told.append(f"{dotted}: {len(broken)} texts made numbers")
    return told


def _set_registries(
    tables: Mapping[str, list[Row]], spec: Registries, answer: Callable[[str], str]
) -> None:
    """Give the table of registries one row a project, where it is not the release's own."""
    rows = tables.get(spec.table)
    if not rows:
        return
    name, url, kind = answer(spec.name), answer(spec.url), answer(spec.type)
    projects = [word.strip() for word in answer(spec.projects).split(",") if word.strip()]
    own = {(row["registry_name"], row["url"], row["type"]) for row in rows}
    if own == {(name, url, kind)} and {row.get("project") for row in rows} >= set(projects):
        return
    rows[:] = [
        {
            "id": str(uuid.uuid5(_NAMESPACE, f"{url}/{project}")),
            "registry_name": name,
            "url": url,
            "type": kind,
            "project": project,
        }
        for project in projects
    ]
