"""``builder schema``."""

import click

from builder.base import log
from builder.base.errors import SpecError
from builder.base.paths import PKGSPEC
from builder.repo.config import SCHEMA_MODELS
from builder.spec.jsonschema import publish, stale_schemas

_FOLDER = PKGSPEC / "schema"


@click.command("schema")
@click.option("--check", is_flag=True, help="Only say whether the published schemas are current.")
def schema_command(check: bool) -> None:
    """Publish the JSON Schema of pkgspec/ into pkgspec/schema/."""
    if check:
        stale = stale_schemas(_FOLDER, SCHEMA_MODELS)
        if stale:
            raise SpecError(
                [f"pkgspec/schema/{name}: not what the code says" for name in stale],
                hint="run 'builder schema'",
            )
        return
    for path in publish(_FOLDER, SCHEMA_MODELS):
        log.step(f"wrote {path.relative_to(PKGSPEC.parent)}")
