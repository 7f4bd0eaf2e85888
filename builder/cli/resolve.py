"""``builder resolve``."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from builder.base import log
from builder.base.errors import ExitCode, UsageError
from builder.base.model import PackageFormat
from builder.cli.options import json_option
from builder.inspect import Package, inspect_package
from builder.verify.distributions import (
    DISTRIBUTIONS_FILE,
    Distribution,
    choose,
    load_distributions,
)
from builder.verify.lists import read_list, record_list
from builder.verify.provides import (
    deb_capabilities,
    load_record,
    load_symbols,
    record_path,
    rpm_capabilities,
)
from builder.verify.resolve import Offer, Resolution, Row, asked_names, resolve_packages

_ALL_PAYLOADS = ("gzip", "bzip2", "xz", "zstd")  # of a package list nothing else is known

_SHOWN = 3  # packages with the same dependency


@click.command("resolve")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option("--on", "names", multiple=True, metavar="NAME", help="One distribution; may repeat.")
@click.option(
    "--lists",
    "lists",
    multiple=True,
    metavar="NAME=FILE",
    help="The package list of a distribution, in place of what is recorded of it.",
)
@click.option("--record", is_flag=True, help="Write what --lists has into pkgspec/provides/.")
@json_option
def resolve_command(
    files: tuple[Path, ...],
    names: tuple[str, ...],
    lists: tuple[str, ...],
    record: bool,
    as_json: bool,
) -> None:
    """Resolve the dependencies of packages on each distribution, by recorded package lists.

    Nothing is installed, and no Docker is needed: 'verify' does that. The packages are
    resolved together. Exits with 13 where a dependency is not met.
    """
    given = dict(_pair(text) for text in lists)
    packages = [inspect_package(path) for path in files]
    formats = {package.contents.fmt for package in packages}
    chosen = choose(load_distributions(DISTRIBUTIONS_FILE), names or tuple(given), formats)
    found = []
    for distribution in chosen:
        fmt = distribution.manager.packs
        own = [package for package in packages if package.contents.fmt is fmt]
        if not own:
            raise UsageError(f"none of the packages is a {fmt}, as {distribution.name} installs")
        path = given.get(distribution.name)
        if record and path is not None:
            _record(distribution, path, own)
        found.append(resolve_packages(fmt, own, _offer(distribution, path)))
    if as_json:
        click.echo(json.dumps([{**asdict(each), "ok": each.ok} for each in found], indent=2))
    else:
        for resolution in found:
            _print(resolution)
    if not all(resolution.ok for resolution in found):
        sys.exit(ExitCode.VERIFY)


def _pair(text: str) -> tuple[str, Path]:
    name, sign, path = text.partition("=")
    if not sign or not path:
        raise UsageError(f"--lists {text} names no file", hint="--lists debian-13=FILE")
    return name, Path(path)


def _offer(distribution: Distribution, path: Path | None) -> Offer:
    fmt = distribution.manager.packs
    if path is not None:
        return Offer(
            distribution=distribution.name,
            known_by=str(path),
            capabilities=read_list(fmt, path),
            payloads=_ALL_PAYLOADS,
        )
    record = load_record(distribution.name)
    capabilities = (
        deb_capabilities(record)
        if fmt is PackageFormat.DEB
        else rpm_capabilities(record, load_symbols())
    )
    return Offer(
        distribution=distribution.name,
        known_by=f"recorded {record.recorded}, {record.source}",
        capabilities=capabilities,
        payloads=record.payloads,
    )


def _record(distribution: Distribution, path: Path, packages: Sequence[Package]) -> None:
    fmt = distribution.manager.packs
    target = record_path(distribution.name)
    load_record(distribution.name)  # a list has nothing of payloads and symbols
    asked = asked_names(fmt, packages)
    lacking = record_list(
        fmt,
        target,
        read_list(fmt, path),
        asked,
        today=datetime.now(UTC).date(),
        source=f"the package list of {distribution.name}",
    )
    log.step(f"wrote {target}; the list has no {', '.join(lacking) or 'gap'}")


def _print(resolution: Resolution) -> None:
    state = "every dependency is met" if resolution.ok else "NOT installable"
    counted = f"{resolution.packages} {resolution.fmt}"
    click.echo(f"{resolution.distribution}: {counted}, {resolution.known_by}: {state}")
    if resolution.unreadable:
        names = _listed(resolution.unreadable)
        click.echo(f"  {names}: the payload is not unpacked there; build with --profile compat")
    for requirement, rows in _by_requirement(resolution.unmet):
        names = _listed([row.package for row in rows])
        click.echo(f"  {names}: nothing provides {requirement}")
    for requirement, rows in _by_requirement(resolution.fallbacks):
        names = _listed([row.package for row in rows])
        click.echo(f"  {names}: {requirement}: by {rows[0].by}")
    for requirement, rows in _by_requirement(resolution.not_recommended):
        names = _listed([row.package for row in rows])
        click.echo(f"  {names}: recommends {requirement}, which is not there")


def _by_requirement(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for requirement in dict.fromkeys(row.requirement for row in rows):
        yield requirement, [row for row in rows if row.requirement == requirement]


def _listed(names: Sequence[str]) -> str:
    further = len(names) - _SHOWN
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {further} more" if further > 0 else shown
