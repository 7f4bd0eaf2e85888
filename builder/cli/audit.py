"""``builder audit``."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from builder.base import log
from builder.base.errors import ExitCode, PayloadError, UsageError
from builder.base.parse import TextError, parse_json
from builder.base.paths import PKGSPEC, SBOM_FILE
from builder.inspect import inspect_package
from builder.release.advisories import Advisories
from builder.release.audit import Finding, audit, expired, sarif
from builder.release.records import read_records, reading_snapshot
from builder.spec.advisories import AdvisoriesSpec
from builder.spec.validate import load_model

_PATH = click.Path(path_type=Path)
_FORMS = ("text", "json", "sarif")


@click.command("audit")
@click.argument("files", nargs=-1, required=True, type=_PATH, metavar="FILE...")
@click.option(
    "--db",
    "snapshots",
    multiple=True,
    required=True,
    type=_PATH,
    help="A snapshot of OSV's records: a ZIP, a folder, or a JSON file; repeatable.",
)
@click.option(
    "--ignore",
    type=_PATH,
    default=PKGSPEC / "advisories.toml",
    show_default="pkgspec/advisories.toml",
    help="Vulnerabilities to pass over, with reason and last day.",
)
@click.option("--format", "form", type=click.Choice(_FORMS), default="text", show_default=True)
def audit_command(
    files: Sequence[Path], snapshots: Sequence[Path], ignore: Path, form: str
) -> None:
    """Look up every part of packages, or of CycloneDX files, among known vulnerabilities.

    Nothing is fetched. The exit code is 13 if there is one that is not ignored.
    """
    ignored = load_model(AdvisoriesSpec, ignore, str(ignore)).ignore
    today = datetime.now(UTC).date()
    for row in expired(ignored, today):
        log.warn(f"{ignore}: {row.id} is no longer ignored since {row.until}")
    advisories = Advisories(iter(()))
    for path in snapshots:
        with reading_snapshot(path):
            advisories.add(read_records(path))
    if not len(advisories):
        raise UsageError("the snapshots have no record", hint="give the ZIPs that OSV publishes")
    findings = audit({path.name: _document(path) for path in files}, advisories, ignored, today)
    _print(findings, form)
    open_ones = [finding for finding in findings if not finding.ignored]
    log.step(f"vulnerabilities: {len(open_ones)}, ignored: {len(findings) - len(open_ones)}")
    if open_ones:
        sys.exit(ExitCode.VERIFY)


def _document(path: Path) -> Mapping[str, Any]:
    if path.suffix != ".json":
        document: Mapping[str, Any] | None = inspect_package(path).sbom
        if document is None:
            raise PayloadError(f"{path}: has no {SBOM_FILE}", hint="build it again")
        return document
    try:
        table = parse_json(path.read_bytes())
    except (OSError, TextError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    if not isinstance(table, dict) or table.get("bomFormat") != "CycloneDX":
        raise UsageError(f"{path} is no CycloneDX document")
    return table


def _print(findings: Sequence[Finding], form: str) -> None:
    if form == "json":
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
    elif form == "sarif":
        click.echo(json.dumps(sarif(findings), indent=2))
    else:
        for finding in findings:
            ignored = f" [ignored: {finding.ignored}]" if finding.ignored else ""
            click.echo(finding.shown + ignored)
