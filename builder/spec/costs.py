"""The schema of ``pkgspec/costs.toml``: what a package costs to build, until that is measured."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from builder.spec.types import PackageName, Strict
from builder.spec.validate import load_model

COSTS_FILE = "costs.toml"
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class CostsSpec(Strict):
    """Seconds in which a package is staged and packed in both formats."""

    other: _Seconds = Field(1.0, description="of a package that is not listed")
    seconds: dict[PackageName, _Seconds] = Field({}, description="by package")


def load_costs_spec(root: Path) -> CostsSpec:
    """Load the file below ``root``; a project may have none. Raises SpecError."""
    path = root / COSTS_FILE
    if not path.exists():
        return CostsSpec()
    return load_model(CostsSpec, path, f"{root.name}/{path.stem}")
