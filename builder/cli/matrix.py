"""``builder matrix``."""

import json
from datetime import UTC, datetime

import click

from builder.cli.options import json_option, project_spec
from builder.jobs.matrix import gitlab_pipeline, matrix_jobs

_FORMATS = ("text", "json", "github", "gitlab")


@click.command("matrix")
@click.option("--maintained", is_flag=True, help="Only lines that are maintained today.")
@click.option("--release", "releases", multiple=True, help="Only this release; repeatable.")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="text",
    show_default=True,
    help="text: the commands; github: a strategy's matrix in one line; gitlab: a child pipeline.",
)
@json_option
def matrix_command(maintained: bool, releases: tuple[str, ...], form: str, as_json: bool) -> None:
    """Print the whole build as CI jobs, one for each release and architecture."""
    today = datetime.now(UTC).date()
    spec = project_spec()
    only = [spec.release(name).name for name in releases]
    jobs = matrix_jobs(spec, maintained_on=today if maintained else None, only=only)
    if as_json or form == "json":
        click.echo(json.dumps({"include": jobs}, indent=2))
    elif form == "github":
        click.echo(json.dumps({"include": jobs}))
    elif form == "gitlab":
        click.echo(json.dumps(gitlab_pipeline(jobs), indent=2))
    else:
        for job in jobs:
            click.echo(job["command"])
