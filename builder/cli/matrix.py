"""``builder matrix``."""

import json
from datetime import UTC, datetime

import click

from builder.cli.options import json_option, project_spec
from builder.jobs.matrix import matrix_jobs


@click.command("matrix")
@click.option("--maintained", is_flag=True, help="Only lines that are maintained today.")
@json_option
def matrix_command(maintained: bool, as_json: bool) -> None:
    """Print the whole build as CI jobs, one for each release and architecture."""
    today = datetime.now(UTC).date()
    jobs = matrix_jobs(project_spec(), maintained_on=today if maintained else None)
    if as_json:
        click.echo(json.dumps({"include": jobs}, indent=2))
        return
    for job in jobs:
        click.echo(job["command"])
