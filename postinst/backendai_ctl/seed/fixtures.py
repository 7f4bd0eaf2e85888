"""The release's own fixtures, prepared for loading: broken values fixed, no public accounts."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backendai_ctl.base.errors import RecipeError
from backendai_ctl.registries.model import Registry
from backendai_ctl.seed.accounts import Account, Deriver, Row, accounts_of, renew
from backendai_ctl.seed.data import SeedProfile

# Keys of a fixture that are not tables.
_RESERVED = "__"


@dataclass(frozen=True, kw_only=True)
class Fixtures:
    """The fixtures in the order in which they load, and the changes made to them."""

    files: Mapping[str, Mapping[str, Any]]
    accounts: tuple[Account, ...]
    normalised: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Values:
    """The values of this site that the fixtures get."""

    deriver: Deriver
    admin_email: str
    resolve: Callable[[object], object]  # turns a recipe's value into this site's
    registries: tuple[Registry, ...] = ()


def prepare(folder: Path, profile: SeedProfile, values: Values) -> Fixtures:
    """Read the fixtures that ``profile`` names, and prepare them for this installation.

    The same input gives the same rows. Raises RecipeError if one is missing or broken.
    """
    files = read_fixtures(folder, profile)
    if profile.registries is not None:
        table = profile.registries.table
        files = {
            name: fixture
            for name, fixture in files.items()
            if not fixture.get(table) or _is_wanted(fixture[table], values.registries)
        }
    merged = _merged(files)
    normalised = list(_fix_integers(merged, profile.integers))
    for setting in profile.settings:
        for row in merged.get(setting.table, []):
            if setting.column in row:
                row[setting.column] = values.resolve(setting.value)
    accounts: list[Account] = []
    if profile.accounts is not None:
        # A fixture that only changes rows names them by id alone.
        users = [row for row in merged.get(profile.accounts.users, []) if "role" in row]
        pairs = merged.get(profile.accounts.keypairs, [])
        renew(merged, profile.accounts, values.deriver, values.admin_email)
        accounts = accounts_of(users, pairs)
    return Fixtures(files=files, accounts=tuple(accounts), normalised=tuple(normalised))


def read_fixtures(folder: Path, profile: SeedProfile) -> dict[str, dict[str, Any]]:
    """Return the fixtures that ``profile`` names, as the release ships them, in their order."""
    paths = {name: folder / f"example-{name}.json" for name in profile.fixtures}
    return {
        name: _read(path)
        for name, path in paths.items()
        if name not in profile.optional or path.exists()
    }


def tables_of(fixture: Mapping[str, Any]) -> list[str]:
    """Return the tables that a fixture has rows for."""
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
    """Return the rows of each table from all files; changing a row changes it in its file."""
    merged: dict[str, list[Row]] = {}
    for fixture in files.values():
        for table in tables_of(fixture):
            merged.setdefault(table, []).extend(fixture[table])
    return merged


def _fix_integers(tables: Mapping[str, list[Row]], columns: tuple[str, ...]) -> list[str]:
    fixed = []
    for dotted in columns:
        table, _, column = dotted.partition(".")
        broken = [row for row in tables.get(table, []) if isinstance(row.get(column), str)]
        for row in broken:
            row[column] = int(row[column])
        if broken:
            fixed.append(f"{dotted}: {len(broken)} texts made numbers")
    return fixed


def _is_wanted(rows: Sequence[Row], registries: Sequence[Registry]) -> bool:
    """Whether ``rows`` hold a registry of site.toml; any other registry has a step of its own."""
    shipped = {(row["registry_name"], row["url"], row["type"]) for row in rows}
    projects = {row.get("project") for row in rows}
    return any(
        {(registry.name, registry.url, registry.type)} == shipped
        and set(registry.projects) <= projects
        for registry in registries
    )
