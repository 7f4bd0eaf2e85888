"""``builder merge``."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from builder.base import log
from builder.base.model import Arch
from builder.base.paths import PROJECT
from builder.cli.options import CommaList, flatten, format_option, json_option, project_spec
from builder.jobs.merge import (
    Found,
    check_complete,
    expected_files,
    plan_merge,
    read_folders,
    write_merge,
)
from builder.spec import ReleaseSpec, Spec


@click.command("merge")
@click.argument(
    "folders",
    nargs=-1,
    required=True,
    metavar="DIR...",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--release", "releases", multiple=True, metavar="R", help="Expect this release; repeatable."
)
@click.option("--maintained", is_flag=True, help="Expect all lines that are maintained today.")
@click.option(
    "--arch",
    "archs",
    type=CommaList(Arch),
    multiple=True,
    callback=flatten,
    default=["amd64,arm64"],
    show_default="amd64,arm64",
    help="Expect these architectures.",
)
@format_option
@click.option("--partial", is_flag=True, help="Merge although packages are missing.")
@json_option
def merge_command(folders: tuple[Path, ...], out: Path, as_json: bool, **options: Any) -> None:
    """Merge the packages and manifests of parallel jobs into one folder.

    What a job of the matrix should have made and no folder has is an error; without --release
    and --maintained the releases are those of the packages. A package that two jobs have built
    must have the same bytes.
    """
    spec = project_spec()
    inputs = list(dict.fromkeys([*([out] if (out / "manifest.json").exists() else []), *folders]))
    found = read_folders(inputs)
    wanted = _releases(spec, found, options)
    expected = expected_files(spec, PROJECT, wanted, (options["archs"], options["formats"]))
    merge = plan_merge(found, expected)
    if not options["partial"]:
        check_complete(merge, expected)
    write_merge(merge, out)
    for job, files in merge.missing.items():
        log.warn(f"{job}: {len(files)} packages are missing")
    if as_json:
        report = {
            "packages": [package.file for package in merge.packages],
            "repeated": merge.repeated,
            "missing": {job: list(files) for job, files in merge.missing.items()},
        }
        click.echo(json.dumps(report, indent=2))
    else:
        log.step(f"{len(merge.packages)} packages in {out}/, {merge.repeated} of them built twice")


def _releases(spec: Spec, found: Sequence[Found], options: dict[str, Any]) -> list[ReleaseSpec]:
    """Return the releases whose packages are expected."""
    chosen = {spec.release(name).name for name in options["releases"]}
    if options["maintained"]:
        today = datetime.now(UTC).date()
        chosen |= {name for name, one in spec.releases.items() if one.is_maintained(today)}
    if not chosen:
        built = [package.entry.get("inputs", {}).get("release") for package in found]
        chosen = {name for name in built if name in spec.releases}
    return [release for name, release in spec.releases.items() if name in chosen]
