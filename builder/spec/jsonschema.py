"""The JSON Schema of ``pkgspec/``, for editors and for people.

``others`` are models of other rooms that are published beside those of ``pkgspec/``.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from builder.spec.advisories import AdvisoriesSpec
from builder.spec.components import ComponentsSpec
from builder.spec.costs import CostsSpec
from builder.spec.family import FamilySpec
from builder.spec.gates import GatesSpec
from builder.spec.licences import LicencesSpec
from builder.spec.prune import PruneSpec
from builder.spec.release import ReleaseSpec
from builder.spec.schema import PackageSpec, ProjectSpec

Models = Mapping[str, type[BaseModel]]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_files(others: Models) -> dict[str, str]:
    """Return the file name and text of every published schema."""
    models: dict[str, type[BaseModel]] = {
        "advisories": AdvisoriesSpec,
        "components": ComponentsSpec,
        "costs": CostsSpec,
        "family": FamilySpec,
        "licences": LicencesSpec,
        **others,
        "project": ProjectSpec,
        "package": PackageSpec,
        "gates": GatesSpec,
        "prune": PruneSpec,
        "release": ReleaseSpec,
    }
    return {
        f"{kind}.schema.json": json.dumps(
            {
                "$schema": _DIALECT,
                **model.model_json_schema(),
            },
            indent=2,
        )
        + "\n"
        for kind, model in models.items()
    }


def stale_schemas(folder: Path, others: Models) -> list[str]:
    """Return the names of published schemas that differ from the code."""
    return [
        name
        for name, text in schema_files(others).items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def publish(folder: Path, others: Models) -> list[Path]:
    """Write every schema into ``folder``; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in schema_files(others).items():
        (folder / name).write_text(text, encoding="utf-8")
        written.append(folder / name)
    return written
