"""``builder matrix``."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from builder.cli.options import json_option, project_spec
from builder.jobs.costs import costs_file, load_costs, plan_groups
from builder.jobs.matrix import (
    github_split,
    gitlab_pipeline,
    gitlab_split,
    matrix_jobs,
    split_rows,
)
from builder.jobs.split import ends, split_jobs
from builder.spec import ReleaseSpec, Spec
from builder.spec.costs import load_costs_spec

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
@click.option(
    "--jobs",
    "count",
    type=click.IntRange(min=1),
    metavar="N",
    help="Split it by cost into at most N jobs.",
)
@json_option
def matrix_command(
    maintained: bool, releases: tuple[str, ...], form: str, count: int | None, as_json: bool
) -> None:
    """Print the whole build as CI jobs, one for each release and architecture.

    With --jobs the jobs are made to end together, by what the packages cost in the builds that
    BUILDER_COSTS has noted. A release that is split builds its runtime first.
    """
    today = datetime.now(UTC).date()
    spec = project_spec()
    only = [spec.release(name).name for name in releases]
    form = "json" if as_json else form
    if count is not None:
        chosen = [
            release
            for release in spec.releases.values()
            if release.name in only or not only
            if not maintained or release.is_maintained(today)
        ]
        _print_split(spec, chosen, count, form)
        return
    jobs = matrix_jobs(spec, maintained_on=today if maintained else None, only=only)
    if form == "json":
        click.echo(json.dumps({"include": jobs}, indent=2))
    elif form == "github":
        click.echo(json.dumps({"include": jobs}))
    elif form == "gitlab":
        click.echo(json.dumps(gitlab_pipeline(jobs), indent=2))
    else:
        for job in jobs:
            click.echo(job["command"])


def _print_split(spec: Spec, releases: Sequence[ReleaseSpec], count: int, form: str) -> None:
    default = load_costs_spec(spec.root)
    jobs = split_jobs(plan_groups(spec, releases, load_costs(costs_file()), default), count)
    rows = split_rows(jobs)
    if form == "json":
        click.echo(json.dumps({"include": rows, "seconds": round(ends(jobs), 1)}, indent=2))
    elif form == "github":
        click.echo(json.dumps(github_split(jobs)))
    elif form == "gitlab":
        click.echo(json.dumps(gitlab_split(jobs), indent=2))
    else:
        for row in rows:
            click.echo(row["script"])
