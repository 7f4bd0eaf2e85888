"""``builder release``."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from builder.base import log
from builder.base.errors import LockError, UsageError
from builder.base.paths import PROJECT
from builder.base.storage import replacing
from builder.cli.options import (
    importance_options,
    json_option,
    project_cache,
    project_spec,
    read_importance,
)
from builder.jobs.parallel import default_jobs
from builder.jobs.patch import Patch, PatchRequest, make_patch, parse_pins, save_patch
from builder.jobs.release import Moves, make_report, move_line, start_line
from builder.jobs.schemas import dump_schemas
from builder.release.bump import Moved, NewLine, Workshop, save
from builder.release.news import LEADING, News, find_news, newest_of
from builder.release.osv import load_snapshot
from builder.release.page import render_page, render_text
from builder.runtime.pins import load_pins
from builder.spec import ReleaseSpec
from builder.spec.release import line_of

_LINE = click.argument("line")
_LINE_NAME = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?")
_DRY = click.option("--dry-run", is_flag=True, help="Resolve and report; write nothing.")


@click.group("release")
def release_group() -> None:
    """Follow Backend.AI's releases: what is new, and what it changes."""


@release_group.command("check")
@json_option
def check_command(as_json: bool) -> None:
    """Ask the index what is new for each line."""
    news = find_news(project_spec(), project_cache())
    if as_json:
        click.echo(json.dumps({**asdict(news), "new_line": news.new_line()}, indent=2))
        return
    _print_news(news)


def _print_news(news: News) -> None:
    for line in news.lines:
        kept = f", maintained: {line.maintained_until}" if line.maintained_until else ""
        if not line.is_newer:
            click.echo(f"{line.release}: {line.version} is the newest{kept}")
            continue
        click.echo(f"{line.release}: {line.version} -> {line.newest}{kept}")
        for name in line.lacking:
            click.echo(f"  the index lacks {name} {line.newest}")
        click.echo(f"  builder release bump {line.release} {line.newest}")
    line_name = news.new_line()
    if line_name:
        click.echo(f"{line_name}: new, {news.newest}")
        like = max(news.lines, key=lambda line: Version(line.version))
        click.echo(f"  builder release new {line_name} --from {like.release}")
    if news.pre_release:
        click.echo(f"pre-release: {news.pre_release}")


@release_group.command("bump")
@_LINE
@click.argument("version", required=False)
@_DRY
@json_option
def bump_command(line: str, version: str | None, dry_run: bool, as_json: bool) -> None:
    """Move a line to VERSION, by default the newest of it on the index."""
    shop = _shop()
    release = shop.spec.release(line)
    wanted = _version(version) if version else _newest(f"{LEADING}=={release.line}.*", shop)
    if line_of(wanted) != release.line:
        raise UsageError(
            f"{wanted} is not of the line {release.line}",
            hint=f"begin its line: builder release new {line_of(wanted)} --from {release.name}",
        )
    if wanted == release.version:
        log.step(f"{release.name} is at {wanted} already")
        return
    if Version(wanted) < Version(release.version):
        raise UsageError(
            f"{wanted} is older than {release.version}, where {release.name} is",
            hint="no host upgrades to an older version; to undo a move, revert its commit",
        )
    _finish(shop, move_line(shop, release, wanted, datetime.now(UTC)), dry_run, as_json)


def _version(text: str) -> str:
    try:
        return str(Version(text))
    except InvalidVersion as error:
        raise UsageError(f"{text!r} is no version", hint="such as 26.9.6") from error


@release_group.command("patch")
@_LINE
@click.option(
    "--package",
    "packages",
    multiple=True,
    metavar="NAME==VERSION",
    help="A wheel, and the version that it gets in every lock that has it; repeatable.",
)
@click.option(
    "--also",
    multiple=True,
    metavar="NAME",
    help="A wheel that may change, come or go with them; repeatable.",
)
@click.option(
    "--runtime", is_flag=True, help="Raise the runtime: its CPython or a library in it is another."
)
@click.option(
    "--change",
    "changes",
    multiple=True,
    metavar="TEXT",
    help="A line of the changelog; repeatable.",
)
@importance_options
@_DRY
@json_option
def patch_command(line: str, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Fix single wheels of LINE, or its runtime, by a new revision of what that touches.

    Refuses, with the list, a version that would change more than what is named.
    """
    if not given["packages"] and not given["runtime"]:
        raise UsageError(
            "there is nothing to fix", hint="name --package NAME==VERSION or --runtime"
        )
    if given["runtime"] and not given["packages"] and not given["changes"]:
        raise UsageError(
            "the changelog would say nothing", hint="--change 'Rebuild with OpenSSL 3.5.5.'"
        )
    shop = _shop()
    request = PatchRequest(
        pins=parse_pins(given["packages"]),
        free={canonicalize_name(name) for name in given["also"]},
        runtime=given["runtime"],
        changes=given["changes"],
        importance=read_importance(given),
    )
    patch = make_patch(shop, shop.spec.release(line), request, datetime.now(UTC))
    paths = [] if dry_run else save_patch(patch)
    if as_json:
        click.echo(json.dumps(_patch_dict(patch, paths), indent=2))
    else:
        _print_patch(patch)
    for path in paths:
        log.detail(f"wrote {path.relative_to(PROJECT)}")
    verb = "would be" if dry_run else "are"
    log.step(f"{len(patch.entry.packages)} packages {verb} at revision {patch.entry.revision}")


def _print_patch(patch: Patch) -> None:
    by_change: dict[str, list[str]] = {}
    for package, changes in patch.locks.items():
        for change in changes:
            by_change.setdefault(change.shown, []).append(package)
    for shown, packages in by_change.items():
        click.echo(f"{shown}: in {len(packages)} locks: {', '.join(packages)}")
    click.echo(f"changelog ({patch.entry.urgency}):")
    for text in patch.entry.lines:
        click.echo(f"  {text}")
    names = " ".join(patch.entry.packages)
    click.echo(f"builder build {names} --release {patch.release.name}")


def _patch_dict(patch: Patch, paths: Sequence[Path]) -> dict[str, object]:
    return {
        "release": patch.release.name,
        "version": patch.release.version,
        "entry": patch.entry.model_dump(mode="json"),
        "locks": {name: [asdict(row) for row in rows] for name, rows in patch.locks.items()},
        "written": [str(path.relative_to(PROJECT)) for path in paths],
    }


@release_group.command("new")
@_LINE
@click.option("--from", "like", required=True, help="The line whose packages it gets.")
@click.option("--version", help="The release; by default the newest of the line on the index.")
@click.option(
    "--without",
    multiple=True,
    metavar="PACKAGE",
    help="A package that it does not get, as the index lacks it; repeatable.",
)
@_DRY
@json_option
def new_command(
    line: str, like: str, version: str | None, dry_run: bool, as_json: bool, **given: Any
) -> None:
    """Begin LINE with the packages of another."""
    if not _LINE_NAME.fullmatch(line):
        raise UsageError(f"{line!r} is no name of a line", hint="such as 26.9")
    shop = _shop()
    if line in shop.spec.releases:
        raise UsageError(f"{line} is a line already", hint=f"builder release bump {line}")
    wanted = _version(version) if version else _newest(f"{LEADING}=={line}.*", shop)
    if line_of(wanted) != line_of(_version(line)):
        raise UsageError(f"{wanted} is not of the line {line}", hint="leave --version out")
    new = NewLine(name=line, version=wanted, like=shop.spec.release(like), without=given["without"])
    _finish(shop, start_line(shop, new, datetime.now(UTC)), dry_run, as_json)


@release_group.command("report")
@_LINE
@click.option("--against", required=True, help="A line, or a version of a line.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page there.")
@click.option(
    "--osv",
    type=click.Path(path_type=Path, exists=True),
    help="OSV's records of PyPI: its ZIP, a folder, or a JSON file.",
)
@click.option("--graphql/--no-graphql", default=True, help="Compare the managers' schemas.")
@json_option
def report_command(line: str, against: str, html: Path | None, as_json: bool, **given: Any) -> None:
    """Compare a release with another: wheels, sizes, samples, migrations, schemas, commands."""
    shop = _shop()
    report = make_report(
        shop,
        line,
        against,
        schemas=partial(_schemas, shop) if given["graphql"] else lambda _: None,
        snapshot=load_snapshot(given["osv"]) if given["osv"] is not None else None,
    )
    if html is not None:
        with replacing(html) as part:
            part.write_text(render_page(report), encoding="utf-8")
        log.step(f"wrote {html}")
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    elif html is None:
        click.echo(render_text(report), nl=False)


def _schemas(shop: Workshop, release: ReleaseSpec) -> Mapping[str, str] | None:
    return dump_schemas(release, shop.spec, PROJECT, shop.cache, jobs=default_jobs())


def _shop() -> Workshop:
    pins = load_pins()
    pythons = sorted({pin.version for pin in (*pins.standalone, *pins.source)})
    return Workshop(spec=project_spec(), pythons=pythons, cache=project_cache())


def _newest(requirement: str, shop: Workshop) -> str:
    version = newest_of(requirement, shop.cache)
    if version is None:
        raise LockError(f"the index has no {requirement}", hint="'builder release check' lists all")
    return version


def _finish(shop: Workshop, moves: Moves, dry_run: bool, as_json: bool) -> None:
    paths = [] if dry_run else save(shop.spec.root, moves.moved)
    if as_json:
        click.echo(json.dumps(_as_dict(moves, paths), indent=2))
    for path in paths:
        log.detail(f"wrote {path.relative_to(PROJECT)}")
    log.step(_summary(moves.moved, dry_run=dry_run))
    for review in moves.reviews:
        log.warn(f"{review.file}: {review.why}")
    if not moves.reviews:
        log.step("nothing needs a person: build and test it")


def _as_dict(moves: Moves, paths: Sequence[Path]) -> dict[str, object]:
    return {
        "release": moves.moved.release.name,
        "version": moves.moved.release.version,
        "written": [str(path.relative_to(PROJECT)) for path in paths],
        "changed": moves.changed,
        "reviews": [asdict(review) for review in moves.reviews],
    }


def _summary(moved: Moved, *, dry_run: bool) -> str:
    verb = "would be" if dry_run else "is"
    return f"{moved.release.name} {verb} at {moved.release.version}, {len(moved.locks)} locks"
