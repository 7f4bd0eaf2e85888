"""``builder build`` and ``builder plan``."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.tree import Tree

from builder.base import log
from builder.base.model import PackageFormat, Profile, RuntimeChoice
from builder.base.paths import PROJECT
from builder.cli.options import (
    arch_option,
    format_option,
    former_option,
    json_option,
    project_cache,
    project_spec,
    read_runtime_options,
    release_option,
    runtime_options,
    source_date_epoch,
)
from builder.jobs.build import BuildRequest, Built, build, report_reuse
from builder.jobs.parallel import default_jobs
from builder.jobs.plans import Planner
from builder.pack.manifest import manifest_entry
from builder.plan import PackagePlan, PythonPlan, plan_summary
from builder.spec import Spec

MAINTAINER_VARIABLE = "BUILDER_MAINTAINER"


def _request(spec: Spec, packages: Sequence[str], options: dict[str, Any]) -> BuildRequest:
    release = spec.release(options["release"])
    offline, jobs = options.get("offline", False), options.get("jobs") or default_jobs()
    return BuildRequest(
        release=release,
        packages=spec.select(release, packages),
        formats=options["formats"],
        archs=options["archs"],
        out=options.get("out", Path("dist")),
        jobs=jobs,
        offline=offline,
        profile=Profile(options.get("profile", Profile.FAST)),
        runtime=RuntimeChoice(options.get("runtime", RuntimeChoice.AUTO)),
        runtime_options=read_runtime_options(options, offline=offline, jobs=jobs),
        maintainer=os.environ.get(MAINTAINER_VARIABLE) or None,
        epoch=source_date_epoch(),
    )


@click.command("build")
@click.argument("packages", nargs=-1, metavar="[PACKAGE]...")
@release_option
@format_option
@arch_option
@click.option("--out", type=click.Path(path_type=Path), default="dist", show_default=True)
@click.option("--jobs", type=click.IntRange(min=1), help="Default: the number of processors.")
@runtime_options
@former_option("--compression", takes_value=True, instead="--profile compat has xz and gzip")
@click.option("--offline", is_flag=True, help="Use the cache alone.")
@click.option("--dry-run", is_flag=True, help="Print the plan and do nothing.")
@json_option
def build_command(packages: tuple[str, ...], dry_run: bool, as_json: bool, **options: Any) -> None:
    """Build packages: all of the release, or those named."""
    spec = project_spec()
    request = _request(spec, packages, options)
    if dry_run:
        _print_plans(Planner(request, spec, PROJECT).packages(), as_json=as_json)
        return
    begun = time.monotonic()
    built = build(request, spec, PROJECT, project_cache())
    report_reuse(built)
    if as_json:
        click.echo(json.dumps([manifest_entry(package.artifact) for package in built], indent=2))
    else:
        _print_table(built, time.monotonic() - begun)


@click.command("plan")
@click.argument("packages", nargs=-1, metavar="[PACKAGE]...")
@release_option
@format_option
@arch_option
@json_option
def plan_command(packages: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Print what a build would do."""
    spec = project_spec()
    request = _request(spec, packages, options)
    _print_plans(Planner(request, spec, PROJECT).packages(), as_json=as_json)


def _print_table(built: Sequence[Built], seconds: float) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("package", "version", "arch", "format"):
        table.add_column(name, no_wrap=True)
    for name in ("size MB", "files", "time s"):
        table.add_column(name, justify="right", no_wrap=True)
    for package in built:
        artifact = package.artifact
        table.add_row(
            artifact.name,
            artifact.version,
            artifact.arch,
            artifact.fmt.value,
            f"{artifact.size / 1e6:.1f}",
            str(package.files),
            f"{package.seconds:.1f}",
        )
    log.results.print(table)
    log.step(f"{len(built)} packages in {built[0].path.parent}/ after {seconds:.1f} s")


def _print_plans(plans: Sequence[PackagePlan], *, as_json: bool) -> None:
    summaries = [plan_summary(plan) for plan in plans]
    if as_json:
        click.echo(json.dumps(summaries, indent=2))
        return
    for plan in plans:
        log.results.print(_tree(plan))


def _python_line(python: PythonPlan) -> str:
    wheels = f"{len(python.wheels)} wheels"
    if python.base is None:
        return f"{python.prefix}  CPython {python.minor}, {wheels} that all services have"
    shared = f", {len(python.shared)} of the runtime" if python.shared else ""
    return f"{python.prefix}  on {python.base}, {wheels} of its own{shared}"


def _tree(plan: PackagePlan) -> Tree:
    arch = PackageFormat.DEB.arch_name(plan.arch)
    tree = Tree(f"[bold]{plan.name}[/] {plan.metadata.full_version} {arch}")
    if plan.python:
        tree.add(_python_line(plan.python))
    payload = tree.add("payload")
    for entry in plan.entries:
        formats = "" if len(entry.formats) > 1 else f"  ({entry.formats[0].value} only)"
        owner = f"{entry.owner}:{entry.group}"
        payload.add(f"{entry.mode:04o} {owner} {entry.kind.value:8} {entry.target}{formats}")
    for sample in plan.samples:
        payload.add(f"0644 root:root sample   {sample.target}  from {sample.distribution.pin}")
    for fmt, own in plan.formats.items():
        branch = tree.add(fmt.value)
        branch.add(f"depends: {', '.join(own.depends) or 'nothing'}, and what the binaries need")
        branch.add(f"scripts: {', '.join(sorted(own.scripts)) or 'none'}")
    return tree
