"""``builder matrix``."""

import json

import click

from builder.cli.options import json_option, project_spec
from builder.jobs.matrix import matrix_jobs


@click.command("matrix")
@json_option
def matrix_command(as_json: bool) -> None:
    """Print the whole build as CI jobs, one for each release and architecture."""
    jobs = matrix_jobs(project_spec())
    if as_json:
        click.echo(json.dumps({"include": jobs}, indent=2))
        return
    for job in jobs:
        click.echo(job["command"])
