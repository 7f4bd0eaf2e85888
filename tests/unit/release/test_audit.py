"""Audits: which records are about which parts, what is ignored, and what a machine gets."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from builder.base.errors import ExitCode
from builder.cli import main
from builder.release.advisories import Advisories
from builder.release.audit import audit, sarif
from builder.sbom.cyclonedx import render_cyclonedx
from builder.spec.advisories import IgnoredSpec
from tests.helpers.package_files import DebFile, Payload
from tests.helpers.parts import example_inventory, example_subject

TODAY = date(2026, 11, 26)
SQLITE = "pkg:deb/debian/libsqlite3-0@3.40.1-2%2Bdeb12u2?arch=amd64&distro=debian-12"


def part(name: str, purl: str, *inside: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "purl": purl, "components": list(inside)}


def record(name: str, ecosystem: str, package: str, **affected: object) -> dict[str, Any]:
    about = {"ecosystem": ecosystem, "name": package}
    return {"id": name, "summary": f"of {name}", "affected": [{"package": about, **affected}]}


def events(*rows: dict[str, str], kind: str = "ECOSYSTEM", **more: str) -> dict[str, object]:
    return {"ranges": [{"type": kind, "events": list(rows), **more}]}


def fixed(version: str, kind: str = "ECOSYSTEM") -> dict[str, object]:
    return events({"introduced": "0"}, {"fixed": version}, kind=kind)


def found(component: dict[str, Any], *records: dict[str, Any]) -> list[str]:
    document = {"components": [component]}
    findings = audit({"p.deb": document}, Advisories(iter(records)), (), TODAY)
    return [finding.vulnerability.name for finding in findings]


@pytest.mark.parametrize(
    ("component", "affected", "safe"),
    [
        (
            part("own", "pkg:pypi/some-library@1.9"),
            record("A", "PyPI", "Some.Library", **fixed("2.0")),
            record("A", "PyPI", "Some.Library", **fixed("1.9")),
        ),
        (
            part("ring", "pkg:cargo/ring@0.17.8"),
            record("A", "crates.io", "ring", **fixed("0.17.12", "SEMVER")),
            record("A", "PyPI", "ring", **fixed("0.17.12")),
        ),
        (
            part("runtime", "pkg:npm/%40babel/runtime@7.1.0"),
            record("A", "npm", "@babel/runtime", **fixed("7.26.10", "SEMVER")),
            record("A", "npm", "runtime", **fixed("7.26.10", "SEMVER")),
        ),
        # Debian's own fix counts, not upstream's number: 3.40.1-2+deb12u2.
        (
            part("sqlite", SQLITE),
            record("A", "Debian:12", "sqlite3", **fixed("3.40.1-2+deb12u3")),
            record("A", "Debian:12", "sqlite3", **fixed("3.40.1-2+deb12u2")),
        ),
        (
            part("sqlite", SQLITE),
            record("A", "Debian:12", "sqlite3", **events({"introduced": "0"})),
            record("A", "Debian:13", "sqlite3", **events({"introduced": "0"})),
        ),
    ],
)
def test_each_ecosystem_has_its_own_names_and_order(
    component: dict[str, Any], affected: dict[str, Any], safe: dict[str, Any]
) -> None:
    assert found(component, affected) == ["A"]
    assert found(component, safe) == []


@pytest.mark.parametrize(
    ("component", "repository", "tags"),
    [
        (
            part("CPython", "pkg:generic/python@3.13.5"),
            "https://github.com/python/cpython",
            ["v3.13.4", "v3.13.5"],
        ),
        (
            part("expat", "pkg:generic/expat@2.6.2"),
            "https://github.com/libexpat/libexpat.git",
            ["R_2_6_1", "R_2_6_2"],
        ),
    ],
)
def test_what_has_no_package_is_found_by_the_tags_of_its_repository(
    component: dict[str, Any], repository: str, tags: list[str]
) -> None:
    git = events({"introduced": "0"}, {"fixed": "abc"}, kind="GIT", repo=repository)
    affected = [{"versions": tags, **git}]
    assert found(component, {"id": "PSF-1", "affected": affected}) == ["PSF-1"]
    assert (
        found(component, {"id": "PSF-1", "affected": [{**affected[0], "versions": tags[:1]}]}) == []
    )


def test_parts_inside_of_parts_are_looked_up_and_twins_reported_once() -> None:
    inner = part("ring", "pkg:cargo/ring@0.1")
    outer = part("wheel", "pkg:pypi/wheel@1.0", inner, part("odd", "not a purl"), {"name": "x"})
    everything = fixed("9", "SEMVER")
    first = {**record("GHSA-1", "crates.io", "ring", **everything), "aliases": ["RUSTSEC-1"]}
    second = record("RUSTSEC-1", "crates.io", "ring", **everything)
    withdrawn = {**record("B", "crates.io", "ring", **everything), "withdrawn": "2026-01-01"}
    document = {"components": [outer]}
    (finding,) = audit({"p.deb": document}, Advisories(iter([first, second, withdrawn])), (), TODAY)
    assert (finding.vulnerability.name, finding.owner) == ("GHSA-1", "wheel")
    assert finding.shown == ("p.deb: ring 0.1 in wheel: GHSA-1, RUSTSEC-1: of GHSA-1 (fixed in 9)")


@pytest.mark.parametrize(
    ("row", "ignored"),
    [
        ({"id": "A"}, True),
        ({"id": "CVE-1"}, True),
        ({"id": "A", "part": "own"}, True),
        ({"id": "A", "part": "other"}, False),
        ({"id": "A", "until": date(2026, 11, 26)}, True),
        ({"id": "A", "until": date(2026, 11, 25)}, False),
        ({"id": "B"}, False),
    ],
)
def test_what_is_ignored_has_a_reason_and_a_last_day(row: dict[str, Any], ignored: bool) -> None:
    rule = IgnoredSpec.model_validate({"reason": "why", "until": date(2027, 1, 1), **row})
    about = {**record("A", "PyPI", "own", **fixed("9")), "aliases": ["CVE-1"]}
    document = {"components": [part("own", "pkg:pypi/own@1")]}
    (finding,) = audit({"p": document}, Advisories(iter([about])), [rule], TODAY)
    assert finding.ignored == ("why" if ignored else "")


def test_sarif_has_what_its_readers_require() -> None:
    records = [record(name, "PyPI", "own", **fixed("9")) for name in ("B", "A")]
    rule = IgnoredSpec.model_validate({"id": "B", "reason": "why", "until": date(2027, 1, 1)})
    document = {"components": [part("own", "pkg:pypi/own@1")]}
    findings = audit({"p.deb": document}, Advisories(iter(records)), [rule], TODAY)
    report = json.loads(json.dumps(sarif(findings)))
    (run,) = report["runs"]
    assert report["version"] == "2.1.0"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["A", "B"]
    first, second = run["results"]
    assert (first["ruleId"], first["level"]) == ("A", "error")
    assert "own 1" in first["message"]["text"]
    place = first["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "p.deb"}
    assert "suppressions" not in first
    assert second["suppressions"] == [{"kind": "external", "justification": "why"}]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A deb with an SBOM, the SBOM alone, a snapshot and an ignore list."""
    sbom = render_cyclonedx(example_inventory(), example_subject())
    control = (
        "Package: example\nVersion: 1.0-2\nArchitecture: amd64\n"
        "Maintainer: A <a@example.org>\nDescription: an example\n"
    )
    payload = [Payload(path="/usr/share/doc/example/sbom.cdx.json", content=sbom)]
    found = {name: tmp_path / name for name in ("a.deb", "a.cdx.json", "osv.json", "ignore.toml")}
    found["a.deb"].write_bytes(DebFile(control=control, payload=payload).build())
    found["a.cdx.json"].write_bytes(sbom)
    records = [
        record("PYSEC-1", "PyPI", "two", **fixed("3")),
        record("DSA-1", "Debian:12", "openssl", **fixed("3.0.19-1~deb12u3")),
    ]
    found["osv.json"].write_text(json.dumps(records), encoding="utf-8")
    found["ignore.toml"].write_text("", encoding="utf-8")
    return found


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["audit", *map(str, words)])


@pytest.mark.parametrize("name", ["a.deb", "a.cdx.json"])
def test_the_command_reports_and_fails_until_all_is_ignored(
    files: dict[str, Path], name: str
) -> None:
    words = (files[name], "--db", files["osv.json"], "--ignore", files["ignore.toml"])
    done = run(*words)
    assert done.exit_code == ExitCode.VERIFY
    assert f"{name}: two 2.0: PYSEC-1: of PYSEC-1 (fixed in 3)" in done.output
    assert "openssl 3.0.19-1~deb12u2 in CPython: DSA-1" in done.output
    row = '[[ignore]]\nid = "{}"\nreason = "x"\nuntil = {}\n'
    rows = row.format("PYSEC-1", "2999-01-01") + row.format("DSA-1", "2001-01-01")
    files["ignore.toml"].write_text(rows, encoding="utf-8")
    done = run(*words)
    assert done.exit_code == ExitCode.VERIFY
    assert "DSA-1 is no longer ignored since 2001-01-01" in done.output
    files["ignore.toml"].write_text(rows.replace("2001", "2999"), encoding="utf-8")
    done = run(*words, "--format", "json")
    assert done.exit_code == 0
    assert {row["ignored"] for row in json.loads(done.stdout)} == {"x"}
    assert json.loads(run(*words, "--format", "sarif").stdout)["version"] == "2.1.0"


@pytest.mark.parametrize(
    ("broken", "text", "code"),
    [
        (("osv.json", "[]"), "the snapshots have no record", ExitCode.USAGE),
        (("osv.json", "{"), "cannot read the OSV snapshot", ExitCode.USAGE),
        (("osv.json", '[{"affected": 3}]'), "cannot read the OSV snapshot", ExitCode.USAGE),
        (("a.cdx.json", "{}"), "is no CycloneDX document", ExitCode.USAGE),
        (("a.cdx.json", "{"), "cannot read", ExitCode.USAGE),
        (("ignore.toml", '[[ignore]]\nid = "A"\n'), "until", ExitCode.SPEC),
    ],
)
def test_what_cannot_be_read_is_said(
    files: dict[str, Path], broken: tuple[str, str], text: str, code: ExitCode
) -> None:
    files[broken[0]].write_text(broken[1], encoding="utf-8")
    words = ("--db", files["osv.json"], "--ignore", files["ignore.toml"])
    done = run(files["a.cdx.json"], *words)
    assert done.exit_code == code, done.output
    assert text in done.output
    assert "Traceback" not in done.output
