"""The schema of ``pkgspec/gates.toml``: what may fail the gates of a build, and why."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field

from builder.spec.types import PackageName, Strict, Text
from builder.spec.validate import load_model

GATES_FILE = "gates.toml"
_Pattern = Annotated[str, Field(min_length=1, description="* stands for any text")]


class KnownFailure(Strict):
    """Names that may fail one gate."""

    match: tuple[_Pattern, ...] = Field(min_length=1)
    error: _Pattern = Field("*", description="how it may fail; default: in any way")
    packages: tuple[PackageName, ...] = Field((), description="default: all")
    reason: Text

    def covers(self, package: str, name: str, error: str) -> bool:
        """Return whether this explains that ``name`` fails in a package."""
        return (
            (not self.packages or package in self.packages)
            and any(fnmatchcase(name, pattern) for pattern in self.match)
            and fnmatchcase(error, self.error)
        )


class GatesSpec(Strict):
    """Known failures of each gate."""

    module: tuple[KnownFailure, ...] = Field((), description="that does not import")
    script: tuple[KnownFailure, ...] = Field((), description="whose --help fails")
    key: tuple[KnownFailure, ...] = Field(
        (), description="that a recipe sets and no field of the release's model has"
    )


def load_gates(root: Path) -> GatesSpec:
    """Load the file below ``root``; a project may have none. Raises SpecError."""
    path = root / GATES_FILE
    if not path.exists():
        return GatesSpec()
    return load_model(GatesSpec, path, f"{root.name}/{path.stem}")
