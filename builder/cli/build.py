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
from builder.base.model import PackageFormat, Profile, RuntimeChoice, host_arch
from builder.base.paths import PROJECT
from builder.cli.ci_log import log_group, write_summary
from builder.cli.options import (
    arch_option,
    format_option,
    former_option,
    json_option,
    project_spec,
    read_runtime_options,
    release_option,
    runtime_options,
    source_date_epoch,
)
from builder.cli.shared_cache import shared_cache
from builder.jobs.build import BuildRequest, Built, build, report_reuse, stage_services
from builder.jobs.costs import costs_file, measure_costs, record_costs
from builder.jobs.gates import Gatekeeper, check_gates
from builder.jobs.parallel import default_jobs
from builder.jobs.plans import Planner
from builder.jobs.summary import render_summary, sizes_of
from builder.pack.manifest import load_manifest, manifest_entry
from builder.plan import PackagePlan, PythonPlan, plan_summary
from builder.spec import Spec
from builder.spec.gates import load_gates

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
@click.option(
    "--summary",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write packages, sizes with their change, times and cache hits as Markdown.",
)
@json_option
def build_command(
    packages: tuple[str, ...], dry_run: bool, as_json: bool, summary: Path | None, **options: Any
) -> None:
    """Build packages: all of the release, or those named."""
    spec = project_spec()
    request = _request(spec, packages, options)
    if dry_run:
        _print_plans(Planner(request, spec, PROJECT).packages(), as_json=as_json)
        return
    begun = time.monotonic()
    former = sizes_of(load_manifest(request.out))
    title = f"{request.release.version} for {', '.join(request.archs)}"
    with log_group(f"building {title}"), shared_cache(offline=request.offline) as cache:
        built = build(request, spec, PROJECT, cache)
    report_reuse(built)
    seconds = time.monotonic() - begun
    shared = cache.remote.summary() if cache.remote else ""
    write_summary(render_summary(title, built, former, seconds=seconds, cache=shared), summary)
    noted = costs_file()
    if noted is not None:
        record_costs(noted, measure_costs(built, request.archs[0]))
    if as_json:
        click.echo(json.dumps([manifest_entry(package.artifact) for package in built], indent=2))
    else:
        _print_table(built, seconds)


@click.command("gate")
@click.argument("packages", nargs=-1, metavar="[PACKAGE]...")
@release_option
@click.option("--jobs", type=click.IntRange(min=1), help="Default: the number of processors.")
@runtime_options
@click.option("--offline", is_flag=True, help="Use the cache alone.")
def gate_command(packages: tuple[str, ...], **options: Any) -> None:
    """Check services before anybody installs them; the same services are checked once.

    Every module imports, every console script prints its help, the release reads every key of
    its configuration, and its migrations have one head. Only for this host's architecture.
    """
    spec = project_spec()
    given = {**options, "formats": (), "archs": (host_arch(),)}
    request = _request(spec, packages, given)
    with shared_cache(offline=request.offline) as cache:
        keeper = Gatekeeper(
            release=request.release,
            gates=load_gates(spec.root),
            services=PROJECT / "postinst" / "services",
            cache=cache,
            jobs=request.jobs,
        )
        check_gates(keeper, stage_services(request, spec, PROJECT, cache), log.step)


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
