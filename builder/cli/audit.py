"""``builder audit``."""

import json
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from builder.base import log
from builder.base.errors import ExitCode, FetchError, OfflineError, PayloadError, UsageError
from builder.base.parse import TextError, parse_json_object
from builder.base.paths import PKGSPEC, SBOM_FILE
from builder.base.redact import redact
from builder.cli.options import project_cache, project_spec
from builder.inspect import inspect_package
from builder.lock import stale_locks
from builder.net.latest import fetch_latest
from builder.release.advisories import PYPI, Advisories, components_of
from builder.release.audit import Finding, audit, expired, sarif
from builder.release.facts import release_locks
from builder.release.index_records import fetch_index_records, index_address
from builder.release.planned import planned_documents
from builder.release.records import read_records, reading_snapshot
from builder.runtime.pins import load_pins
from builder.spec.advisories import AdvisoriesSpec
from builder.spec.validate import load_model

_PATH = click.Path(path_type=Path)
_FORMS = ("text", "json", "sarif")
_BY_HAND = "fetch it where there is a network, and give the file: --db FILE"


@click.command("audit")
@click.argument("files", nargs=-1, type=_PATH, metavar="[FILE]...")
@click.option(
    "--release",
    is_flag=False,
    flag_value="",
    metavar="[LINE]",
    help="What a release's locks and pins name, without packages; alone it is the default release.",
)
@click.option(
    "--sbom", "sboms", multiple=True, type=_PATH, help="A CycloneDX file of any name; repeatable."
)
@click.option(
    "--db",
    "snapshots",
    multiple=True,
    metavar="FILE|URL",
    help="A snapshot of OSV's records: a ZIP, a folder, or a JSON file; repeatable. Without it the "
    "index is asked what it knows of wheels.",
)
@click.option("--offline", is_flag=True, help="Fetch nothing: use the cache's copy of a URL.")
@click.option(
    "--ignore",
    type=_PATH,
    default=PKGSPEC / "advisories.toml",
    show_default="pkgspec/advisories.toml",
    help="Vulnerabilities to pass over, with reason and last day.",
)
@click.option("--format", "form", type=click.Choice(_FORMS), default="text", show_default=True)
def audit_command(
    files: Sequence[Path], snapshots: Sequence[str], ignore: Path, form: str, **given: Any
) -> None:
    """Look up every part of packages, or of CycloneDX files, among known vulnerabilities.

    With --db only what is a URL is fetched. The exit code is 13 if there is a vulnerability that
    is not ignored.
    """
    ignored = load_model(AdvisoriesSpec, ignore, str(ignore)).ignore
    today = datetime.now(UTC).date()
    for row in expired(ignored, today):
        log.warn(f"{ignore}: {row.id} is no longer ignored since {row.until}")
    documents = dict(_documents(files, given["sboms"], given["release"]))
    if not documents:
        raise UsageError("there is nothing to audit", hint="name FILE..., --sbom FILE or --release")
    if snapshots:
        advisories = _advisories(snapshots, offline=given["offline"])
    else:
        advisories = _of_index(documents, offline=given["offline"])
    findings = audit(documents, advisories, ignored, today)
    _print(findings, form)
    open_ones = [finding for finding in findings if not finding.ignored]
    log.step(f"vulnerabilities: {len(open_ones)}, ignored: {len(findings) - len(open_ones)}")
    if open_ones:
        sys.exit(ExitCode.VERIFY)


def _documents(
    files: Sequence[Path], sboms: Sequence[Path], release: str | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path in files:
        yield path.name, _sbom(path) if path.suffix == ".json" else _package(path)
    for path in sboms:
        yield path.name, _sbom(path)
    if release is None:
        return
    spec, pins = project_spec(), load_pins()
    wanted = spec.release(release or None)
    for problem in stale_locks(spec, wanted):
        log.warn(problem)
    pythons = {pin.version for pin in (*pins.standalone, *pins.source)}
    yield from planned_documents(spec, wanted, release_locks(spec, wanted), pythons).items()


def _package(path: Path) -> Mapping[str, Any]:
    document = inspect_package(path).sbom
    if document is None:
        raise PayloadError(f"{path}: has no {SBOM_FILE}", hint="build it again")
    return document


def _sbom(path: Path) -> Mapping[str, Any]:
    try:
        table = parse_json_object(path.read_bytes())
    except (OSError, TextError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    if table.get("bomFormat") != "CycloneDX":
        raise UsageError(f"{path} is no CycloneDX document")
    return table


def _advisories(snapshots: Sequence[str], *, offline: bool) -> Advisories:
    advisories = Advisories(iter(()))
    for word in snapshots:
        path = _fetched(word, offline=offline) if "://" in word else Path(word)
        with reading_snapshot(path, redact(word)):
            advisories.add(read_records(path))
    if not len(advisories):
        raise UsageError("the snapshots have no record", hint="give the ZIPs that OSV publishes")
    return advisories


def _of_index(documents: Mapping[str, Mapping[str, Any]], *, offline: bool) -> Advisories:
    """Return what the Python index knows of the wheels in SBOMs, and of nothing else."""
    if offline:
        raise UsageError("--offline: without --db the index would be asked", hint=_BY_HAND)
    parts = [part for document in documents.values() for part in components_of(document)]
    wheels = {(part.key[1], part.version) for part in parts if part.key[0] == PYPI}
    log.step(
        f"asking the index about {len(wheels)} wheels; {len(parts) - len(wheels)} other parts, as "
        "CPython and libraries, are only in OSV's snapshots: --db"
    )
    return Advisories(iter(fetch_index_records(wheels, index_address()) if wheels else ()))


def _fetched(url: str, *, offline: bool) -> Path:
    """Return the snapshot that a server has; what is no ZIP is refused, such as a login page."""
    if not url.startswith(("https://", "http://")):
        raise UsageError(f"{redact(url)} is no address of a snapshot", hint="https://, or a file")
    try:
        path = fetch_latest(url, project_cache(), offline=offline)
    except OfflineError as error:
        raise OfflineError(error.message, hint=_BY_HAND) from error
    except FetchError as error:
        raise FetchError(error.message, hint=_BY_HAND) from error
    if not zipfile.is_zipfile(path):
        raise FetchError(f"{redact(url)}: what the server sends is no ZIP", hint=_BY_HAND)
    return path


def _print(findings: Sequence[Finding], form: str) -> None:
    if form == "json":
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
    elif form == "sarif":
        click.echo(json.dumps(sarif(findings), indent=2))
    else:
        for finding in findings:
            ignored = f" [ignored: {finding.ignored}]" if finding.ignored else ""
            click.echo(finding.shown + ignored)
