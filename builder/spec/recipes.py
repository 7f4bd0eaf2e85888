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
    """Return the files of a recipe, with what the newest line that ``version`` reached adds."""
    found = {}
    for config in recipe.get("config", ()):
        lines = [line for line in config.get("line", ()) if _reached(line, version)]
        empty: Mapping[str, Any] = {}
        newest = max(lines, key=lambda line: Version(line["since"]), default=empty)
        found[config["file"]] = RecipeFile(
            keys=frozenset({**config.get("set", {}), **newest.get("set", {})}),
            model=newest.get("model", config.get("model")),
        )
    return found


def _reached(line: Mapping[str, Any], version: str) -> bool:
    return Version(line["since"]) <= Version(version)
