"""``builder doctor``."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from builder.base.errors import ExitCode
from builder.cli.options import json_option, project_spec, release_option
from builder.doctor import Check, Examination, Status, examine, is_ready

_STYLE = {Status.OK: "green", Status.MISSING: "bold red", Status.OPTIONAL: "yellow"}


@click.command("doctor")
@release_option
@click.option("--out", type=click.Path(path_type=Path), default="dist", show_default=True)
@click.option("--offline", is_flag=True, help="Use no network: is the cache alone enough?")
@json_option
def doctor_command(release: str | None, out: Path, offline: bool, as_json: bool) -> None:
    """Report what this host lacks to build packages, and the command that fixes it.

    Exits with 0 where a build can work, and with 10 where it cannot.
    """
    spec = project_spec()
    given = Examination(spec=spec, release=spec.release(release), out=out, offline=offline)
    checks = examine(given)
    if as_json:
        click.echo(json.dumps(checks_dict(checks), indent=2))
    else:
        _print(checks)
    if not is_ready(checks):
        sys.exit(ExitCode.TOOL)


def checks_dict(checks: Sequence[Check]) -> dict[str, object]:
    """The findings for machines."""
    return {
        "ready": is_ready(checks),
        "checks": [
            {
                "name": check.name,
                "status": check.status.value,
                "detail": check.detail,
                "remedy": check.remedy,
            }
            for check in checks
        ],
    }


def _print(checks: Sequence[Check]) -> None:
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("check", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("detail", overflow="fold")
    for check in checks:
        table.add_row(
            check.name, Text(check.status.value, _STYLE[check.status]), Text(check.detail)
        )
    console.print(table)
    for status in (Status.MISSING, Status.OPTIONAL):
        for check in checks:
            if check.status is status and check.remedy:
                # Unwrapped, so that a command can be pasted.
                console.print(Text(f"{check.name}: {check.remedy}"), soft_wrap=True)
    verdict = "a build can work here" if is_ready(checks) else "a build cannot work here yet"
    console.print(Text(verdict, "bold"))
