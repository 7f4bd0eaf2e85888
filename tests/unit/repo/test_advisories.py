"""Advisories: what dnf reads of a channel, and what scanners read of the repository."""

import io
import json
import zipfile
from collections.abc import Sequence
from datetime import date
from typing import Any
from xml.etree import ElementTree

import pytest

from builder.inspect.identity import Identity
from builder.release.advisories import Advisories
from builder.release.audit import audit
from builder.repo.advisories import OSV, list_advisories, render_osv, render_updateinfo
from builder.repo.model import DebRecord, IndexRecord, RepoPackage, RpmRecord, pool_path
from builder.sbom.cyclonedx import package_purl
from builder.spec import ReleaseSpec
from tests.helpers import schemas
from tests.helpers.repos import NOW
from tests.unit.repo.lines import FIRST, RUNTIME, SERVICE, line

FIX: dict[str, Any] = {
    "version": "26.9.6",
    "revision": 3,
    "day": "2026-12-01",
    "urgency": "high",
    "packages": [RUNTIME],
    "changes": ["Update aiohttp from 3.13.2 to 3.13.3."],
    "fixes": ["CVE-2026-12345", "GHSA-aaaa-bbbb-cccc", "PYSEC-2026-7"],
}
WHOLE = {"version": "26.9.6", "revision": 2, "day": "2026-11-25", "changes": ["Give <all> roles."]}
# The part of OSV's schema 1.7 that a record here has, and nothing beside it.
_TEXT = {"type": "string", "minLength": 1}
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}


def _closed(**properties: object) -> dict[str, object]:
    """An object that has all of these properties, and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: object) -> dict[str, object]:
    return {"type": "array", "minItems": 1, "items": items}


_EVENT = {"oneOf": [_closed(introduced=_TEXT), _closed(fixed=_TEXT)]}
_OSV_SCHEMA = _closed(
    schema_version={"type": "string", "pattern": r"^1\.\d+\.\d+$"},
    id={"type": "string", "pattern": "^x_"},
    modified=_TIME,
    published=_TIME,
    upstream=_list(_TEXT),
    summary=_TEXT,
    details=_TEXT,
    affected=_list(
        _closed(
            package=_closed(ecosystem={"const": "Debian"}, name=_TEXT, purl=_TEXT),
            ranges=_list(_closed(type={"const": "ECOSYSTEM"}, events=_list(_EVENT))),
        )
    ),
    references=_list(_closed(type={"const": "ADVISORY"}, url={"type": "string", "format": "uri"})),
    database_specific={"type": "object"},
)


def package(
    name: str, version: str, arch: str = "x86_64", record: IndexRecord | None = None
) -> RepoPackage:
    found = record or RpmRecord(primary="", other="")
    identity = Identity(fmt=found.fmt, name=name, version=version, arch=arch)
    return RepoPackage(
        name=name,
        version=version,
        arch=arch,
        component="main",
        file=identity.file_name,
        pool=pool_path("main", identity),
        sha256=name + version + arch,
        size=1,
        added=NOW,
        record=found,
    )


def updates(
    releases: Sequence[ReleaseSpec], *packages: RepoPackage
) -> dict[str, ElementTree.Element]:
    text = render_updateinfo(list_advisories(releases), packages, "stable")
    if not text:
        return {}
    rows = ElementTree.fromstring(text).iter("update")
    return {row.findtext("id", ""): row for row in rows}


def listed(update: ElementTree.Element) -> set[tuple[str, str, str, str]]:
    return {
        (row.attrib["name"], row.attrib["version"], row.attrib["release"], row.attrib["arch"])
        for row in update.iter("package")
    }


def test_a_fix_of_vulnerabilities_is_a_security_update_with_its_references() -> None:
    found = updates(
        [line(FIX, WHOLE, FIRST)],
        package(RUNTIME, "26.9.6-3"),
        package(RUNTIME, "26.9.6-2"),
        package(SERVICE, "26.9.6-2"),
        package(SERVICE, "26.9.6-1"),
        package(RUNTIME, "26.9.6-3", "all", DebRecord(control="")),
    )
    assert set(found) == {
        "BACKENDAI-26.9.6-3-backendai-runtime",
        "BACKENDAI-26.9.6-2",
        "BACKENDAI-26.9.6-1",
    }
    update = found["BACKENDAI-26.9.6-3-backendai-runtime"]
    assert (update.attrib["type"], update.findtext("severity")) == ("security", "Important")
    issued = update.find("issued")
    assert issued is not None
    assert issued.attrib["date"] == "2026-12-01 00:00:00"
    assert listed(update) == {(RUNTIME, "26.9.6", "3", "x86_64")}
    references = {row.attrib["id"]: row.attrib for row in update.iter("reference")}
    assert set(references) == set(FIX["fixes"])
    assert references["CVE-2026-12345"]["type"] == "cve"
    assert references["CVE-2026-12345"]["href"].endswith("id=CVE-2026-12345")
    assert "CVE-2026-12345" in update.findtext("description", "")
    assert [
        found[name].attrib["type"] for name in ("BACKENDAI-26.9.6-2", "BACKENDAI-26.9.6-1")
    ] == [
        "bugfix",
        "enhancement",
    ]
    assert found["BACKENDAI-26.9.6-2"].findtext("description") == "Give <all> roles."


def test_a_later_version_of_the_line_has_the_fix_too_and_another_line_has_not() -> None:
    releases = [line(FIX, WHOLE)]
    name = "BACKENDAI-26.9.6-3-backendai-runtime"
    later = updates(releases, package(RUNTIME, "26.9.7-1"), package(RUNTIME, "26.10.0-1"))
    assert listed(later[name]) == {(RUNTIME, "26.9.7", "1", "x86_64")}
    assert set(later) == {name}  # what fixes nothing is gone with its version
    before = [
        package(RUNTIME, "26.9.6-2"),
        package(RUNTIME, "26.10.0-1"),
        package(SERVICE, "26.9.6-3"),
    ]
    assert name not in updates(releases, *before)
    assert updates(releases) == {}


@pytest.mark.parametrize(
    ("version", "found"), [("26.9-2", True), ("26.9+post1-1", True), ("26.90-1", False)]
)
def test_a_version_may_be_the_line_itself(version: str, found: bool) -> None:
    first = {key: FIX[key] for key in ("day", "changes", "fixes")}
    first |= {"version": "26.9", "revision": 1}
    releases = [line(first, version="26.9")]
    assert set(updates(releases, package(RUNTIME, version))) == (
        {"BACKENDAI-26.9-1"} if found else set()
    )


def test_two_fixes_of_one_revision_are_two_advisories() -> None:
    other = {**FIX, "packages": [SERVICE], "fixes": [], "urgency": "low"}
    found = updates(
        [line(other, FIX, WHOLE)], package(RUNTIME, "26.9.6-3"), package(SERVICE, "26.9.6-3")
    )
    assert found["BACKENDAI-26.9.6-3-backendai-manager"].attrib["type"] == "bugfix"
    assert found["BACKENDAI-26.9.6-3-backendai-runtime"].attrib["type"] == "security"


def test_a_record_of_osv_is_of_what_the_repository_has_and_fixes_something() -> None:
    advisories = list_advisories([line(FIX, WHOLE, FIRST)])
    assert render_osv(advisories, [package(RUNTIME, "26.9.6-2")]) == {}
    index = render_osv(advisories, [package(RUNTIME, "26.9.6-3")])
    name = "x_BACKENDAI-26.9.6-3-backendai-runtime.json"
    assert set(index) == {OSV / name, OSV / "all.zip"}
    record = json.loads(index[OSV / name])
    schemas.validate(record, _OSV_SCHEMA)
    (affected,) = record["affected"]
    assert affected["package"]["name"] == RUNTIME
    assert affected["ranges"][0]["events"] == [{"introduced": "26.9~"}, {"fixed": "26.9.6-3"}]
    with zipfile.ZipFile(io.BytesIO(index[OSV / "all.zip"])) as archive:
        assert archive.namelist() == [name]
        assert archive.read(name) == index[OSV / name]
    assert render_osv(advisories, [package(RUNTIME, "26.9.6-3")]) == index


@pytest.mark.parametrize(
    ("fmt", "version", "affected"),
    [
        ("deb", "26.9.6-2", True),
        ("rpm", "26.9.6-2", True),
        ("deb", "26.9.0~rc1-1", True),
        ("deb", "26.9.6-3", False),
        ("rpm", "26.9.7-1", False),
        ("deb", "26.8.3-1", False),
    ],
)
def test_an_audit_reads_the_records(fmt: str, version: str, affected: bool) -> None:
    index = render_osv(list_advisories([line(FIX, WHOLE)]), [package(RUNTIME, "26.9.6-3")])
    record = json.loads(next(data for path, data in index.items() if path.suffix == ".json"))
    purl = package_purl(RpmRecord.fmt if fmt == "rpm" else DebRecord.fmt, RUNTIME, version, "x")
    document = {"metadata": {"component": {"name": RUNTIME, "purl": purl}}}
    found = audit({"p": document}, Advisories(iter([record])), (), date(2026, 12, 2))
    assert [finding.vulnerability.name for finding in found] == [record["id"]] * affected
    assert all("CVE-2026-12345" in finding.vulnerability.aliases for finding in found)
