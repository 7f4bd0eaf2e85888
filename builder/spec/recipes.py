"""Services' recipes, as far as a build looks at them: which keys they write for a release."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from builder.base.parse import parse_toml


@dataclass(frozen=True, kw_only=True)
class RecipeFile:
    """One configuration file: the keys that the recipe sets, and the model that reads it."""

    keys: frozenset[str]
    model: str | None  # MODULE:CLASS of the release


def read_recipe(path: Path, version: str) -> dict[str, RecipeFile]:
    """Read a recipe for a release of ``version``; returns its files by their names."""
    return recipe_files(parse_toml(path.read_text(encoding="utf-8")), version)


def recipe_files(recipe: Mapping[str, Any], version: str) -> dict[str, RecipeFile]:
    """Return the files of a recipe, with what the newest line that ``version`` reached adds.

    A key that is set from an answer which this release wants empty is not written.
    """
    limits = [*recipe.get("constraint", ()), *_newest(recipe, version).get("constraint", ())]
    empty = {limit["site"] for limit in limits if limit["rule"] == "empty" and "site" in limit}
    found = {}
    for config in recipe.get("config", ()):
        newest = _newest(config, version)
        settings = {**config.get("set", {}), **newest.get("set", {})}
        found[config["file"]] = RecipeFile(
            keys=frozenset(key for key, setting in settings.items() if _site(setting) not in empty),
            model=newest.get("model", config.get("model")),
        )
    return found


def _newest(table: Mapping[str, Any], version: str) -> Mapping[str, Any]:
    """Return the newest line of a table that ``version`` reached, or an empty one."""
    lines = [line for line in table.get("line", ()) if Version(line["since"]) <= Version(version)]
    empty: Mapping[str, Any] = {}
    return max(lines, key=lambda line: Version(line["since"]), default=empty)


def _site(setting: Any) -> str | None:
    """Return the answer that a key is set from, if it is set from one."""
    return setting.get("site") if isinstance(setting, Mapping) else None
