"""``builder verify``."""

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from builder.base.errors import ExitCode, UsageError
from builder.cli.options import json_option
from builder.verify.case import Case, Status, run_case
from builder.verify.distributions import (
    DISTRIBUTIONS_FILE,
    Distribution,
    choose,
    load_distributions,
    match,
)
from builder.verify.engine import Client, connect
from builder.verify.images import os_release
from builder.verify.report import as_table, write_junit
from builder.verify.subject import Subject, load_subjects

_TABLE_WIDTH = 120  # a log has no width of its own
_STYLE = {Status.OK: "green", Status.FAILED: "bold red", Status.SKIPPED: "yellow"}


@click.command("verify")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option("--on", "names", multiple=True, metavar="NAME", help="One distribution; may repeat.")
@click.option(
    "--image", "images", multiple=True, metavar="IMAGE", help="A custom image; may repeat."
)
@click.option(
    "--distributions",
    "known_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DISTRIBUTIONS_FILE,
    show_default="pkgspec/distributions.toml",
    help="What to verify on.",
)
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write JUnit XML.")
@click.option(
    "--evidence",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/verify"),
    show_default=True,
    help="Where journals and logs of failures go.",
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True)
@json_option
def verify_command(
    files: tuple[Path, ...], junit: Path | None, as_json: bool, **given: Any
) -> None:
    """Install packages on clean hosts (docker), start, query, remove and purge them.

    Packages that these depend on are taken from the same folder. Exits with 13 where
    a check failed.
    """
    subjects = load_subjects(files)
    known = load_distributions(given["known_file"])
    names, images = given["names"], given["images"]
    client = connect()
    try:
        chosen = (
            choose(known, names, [subject.fmt for subject in subjects])
            if names or not images
            else []
        )
        chosen += [match(known, image, os_release(client, image)) for image in images]
        pairs = _pairs(chosen, subjects)
        work = partial(_run, client, given["evidence"])
        with ThreadPoolExecutor(given["jobs"]) as pool:
            cases = list(pool.map(work, pairs))
    finally:
        client.close()
    if junit is not None:
        write_junit(junit, cases)
    if as_json:
        click.echo(json.dumps(as_table(cases), indent=2))
    else:
        _print(cases)
    if not all(case.ok for case in cases):
        sys.exit(ExitCode.VERIFY)


def _run(client: Client, evidence: Path, pair: tuple[Distribution, Subject]) -> Case:
    return run_case(client, *pair, evidence)


def _pairs(
    chosen: Sequence[Distribution], subjects: Sequence[Subject]
) -> list[tuple[Distribution, Subject]]:
    pairs = [
        (distribution, subject)
        for distribution in chosen
        for subject in subjects
        if distribution.manager.packs is subject.fmt
    ]
    if not pairs:
        formats = ", ".join(subject.fmt for subject in subjects)
        listed = ", ".join(distribution.name for distribution in chosen) or "no distribution"
        raise UsageError(f"none of these is for {formats}: {listed}")
    return pairs


def _print(cases: Sequence[Case]) -> None:
    console = Console(highlight=False)
    console.width = max(console.width, _TABLE_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    steps = list(dict.fromkeys(step.name for case in cases for step in case.steps))
    table.add_column("distribution", no_wrap=True)
    for name in steps:
        table.add_column(name, no_wrap=True)
    for case in cases:
        found = {step.name: step for step in case.steps}
        cells = [
            Text(f"{case.status} {case.seconds:.0f} s", _STYLE[case.status]) if case else Text("")
            for case in (found.get(name) for name in steps)
        ]
        table.add_row(case.distribution, *cells)
    console.print(table)
    for case in cases:
        for step in case.steps:
            if step.detail:
                console.print(Text(f"{case.distribution}: {step.name}: {step.detail}"))
        if not case.ok:
            console.print(Text(f"{case.distribution}: evidence: {case.evidence}"), soft_wrap=True)
