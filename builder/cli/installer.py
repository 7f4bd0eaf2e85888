"""``builder installer``."""

import json

import click

from builder.base import log
from builder.base.errors import UsageError
from builder.cli.options import json_option, project_cache, project_spec, release_option
from builder.jobs.installer import fetch_installer
from builder.lock.installer import check_installer, load_known, new_parts, read_parts, save_known


@click.command("installer")
@release_option
@click.option("--accept", is_flag=True, help="Write down that somebody has looked at it.")
@click.option(
    "--against", metavar="R", help="Only print what differs from the record of another line."
)
@json_option
def installer_command(
    release: str | None, accept: bool, against: str | None, as_json: bool
) -> None:
    """Compare what a release's own installer does with what somebody has looked at."""
    if accept and against:
        raise UsageError(
            "--accept and --against exclude each other", hint="compare first, then accept"
        )
    spec = project_spec()
    wanted = spec.release(release)
    wheel = fetch_installer(spec, wanted, project_cache())
    parts = read_parts(wheel)
    known = spec.release(against) if against else wanted
    found = new_parts(load_known(spec.root, known.name), parts)
    if as_json:
        click.echo(json.dumps({"release": wanted.version, "new": found}, indent=2))
    if against:
        for line in found if not as_json else ():
            click.echo(line)
        log.step(
            f"the installer of {wanted.version}: {len(found)} of {len(parts)} parts differ from"
            f" those of {known.version}"
        )
        return
    if accept:
        for line in found:
            log.step(line)
        path = save_known(spec.root, wanted.name, parts)
        log.step(f"wrote {path.relative_to(spec.root.parent)}")
        return
    check_installer(spec.root, wanted, wheel)
    log.step(f"the installer of {wanted.version}: {len(parts)} parts, nothing new")
