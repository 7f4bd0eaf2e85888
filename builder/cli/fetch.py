"""``builder fetch``."""

import functools
import json
from pathlib import Path
from typing import Any

import click

from builder.base import log
from builder.base.model import RuntimeChoice
from builder.cli.options import (
    arch_option,
    json_option,
    project_spec,
    read_runtime_options,
    release_option,
    runtime_options,
)
from builder.cli.shared_cache import shared_cache
from builder.jobs.fetch import FetchRequest, fetch_inputs
from builder.jobs.parallel import default_jobs


@click.command("fetch")
@release_option
@arch_option
@functools.partial(runtime_options, mirror="--python-mirror")
@click.option(
    "--mirror",
    "folder",
    type=click.Path(path_type=Path),
    help="Also write every input into this folder, for BUILDER_MIRROR at a site without network.",
)
@json_option
def fetch_command(release: str | None, folder: Path | None, as_json: bool, **options: Any) -> None:
    """Bring every input of a build into the cache, or into a mirror."""
    spec = project_spec()
    wanted = spec.release(release)
    request = FetchRequest(
        release=wanted,
        packages=spec.select(wanted, ()),
        archs=options["archs"],
        runtime=RuntimeChoice(options["runtime"]),
        runtime_options=read_runtime_options(options, offline=False, jobs=default_jobs()),
        mirror=folder,
    )
    with shared_cache(offline=False) as cache:
        fetched = fetch_inputs(request, spec, cache)
    if as_json:
        click.echo(json.dumps([item.as_dict() for item in fetched], indent=2))
    total = sum(item.size for item in fetched) / 1e6
    log.step(f"{len(fetched)} inputs ({total:.0f} MB) in {folder or 'the cache'}")
