"""The schema of ``pkgspec/gates.toml``: what may fail the gates of a build, and why."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from builder.spec.types import PackageName, Strict, Text
from builder.spec.validate import load_model

GATES_FILE = "gates.toml"
_Pattern = Annotated[str, Field(min_length=1, description="* stands for any text")]


class KnownFailure(Strict):
    """Names that may fail one gate."""

    match: tuple[_Pattern, ...] = Field(min_length=1)
    error: _Pattern | None = Field(None, description="how it may fail")
    missing: tuple[_Pattern, ...] = Field((), description="modules, of which one is not there")
    packages: tuple[PackageName, ...] = Field((), description="default: all")
    reason: Text

    @model_validator(mode="after")
    def _one_way_to_fail(self) -> Self:
        if (self.error is None) != bool(self.missing):
            raise ValueError("either 'error' or 'missing' says how it may fail")
        return self

    def covers(self, package: str, name: str, error: str) -> bool:
        """Return whether this explains that ``name`` fails in a package."""
        return (
            (not self.packages or package in self.packages)
            and any(fnmatchcase(name, pattern) for pattern in self.match)
            and self._fails_so(error)
        )

    def _fails_so(self, error: str) -> bool:
        if self.error is not None:
            return fnmatchcase(error, self.error)
        return error in {f"ModuleNotFoundError: No module named '{name}'" for name in self.missing}


class GatesSpec(Strict):
    """Known failures of each gate."""

    module: tuple[KnownFailure, ...] = Field((), description="that does not import")
    script: tuple[KnownFailure, ...] = Field((), description="whose --help fails")
    key: tuple[KnownFailure, ...] = Field(
        (), description="that a recipe sets and no field of the release's model has"
    )
    operation: tuple[KnownFailure, ...] = Field(
        (), description="of the Web UI, by its script, that the release's own schema refuses"
    )


def load_gates(root: Path) -> GatesSpec:
    """Load the file below ``root``; a project may have none. Raises SpecError."""
    path = root / GATES_FILE
    if not path.exists():
        return GatesSpec()
    return load_model(GatesSpec, path, f"{root.name}/{path.stem}")
