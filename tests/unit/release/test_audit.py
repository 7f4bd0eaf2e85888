"""Audits: which records are about which parts, what is ignored, and what a machine gets."""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from packaging.version import Version

from builder.base.errors import ExitCode
from builder.base.paths import PKGSPEC
from builder.cli import main
from builder.lock import load_lock
from builder.release.advisories import Advisories
from builder.release.audit import audit, sarif
from builder.runtime.pins import load_pins
from builder.sbom.cyclonedx import render_cyclonedx
from builder.spec import load_spec
from builder.spec.advisories import IgnoredSpec
from tests.helpers import schemas
from tests.helpers.package_files import DebFile, Payload
from tests.helpers.parts import example_inventory, example_subject
from tests.helpers.servers import ReleaseServer, release_server

TODAY = date(2026, 11, 26)
SQLITE = "pkg:deb/debian/libsqlite3-0@3.40.1-2%2Bdeb12u2?arch=amd64&distro=debian-12"


# The part of SARIF's schema that a report here has, and nothing beside it.
_WORDS = {"type": "string", "minLength": 1}


def _closed(optional: dict[str, Any] | None = None, **required: object) -> dict[str, object]:
    """An object that has these properties, perhaps the optional ones, and no other."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


_MESSAGE = _closed(text=_WORDS)
_RULE = _closed(id=_WORDS, shortDescription=_MESSAGE)
_URI = {"type": "string", "pattern": r"^[A-Za-z0-9._~%/+-]+$"}
_PLACE = _closed(physicalLocation=_closed(artifactLocation=_closed(uri=_URI)))
_SUPPRESSION = _closed(kind={"enum": ["inSource", "external"]}, justification=_WORDS)
_RESULT = _closed(
    {"suppressions": {"type": "array", "items": _SUPPRESSION}},
    ruleId=_WORDS,
    level={"enum": ["none", "note", "warning", "error"]},
    message=_MESSAGE,
    locations={"type": "array", "items": _PLACE},
)
_DRIVER = _closed(
    name=_WORDS,
    version=_WORDS,
    rules={"type": "array", "uniqueItems": True, "items": _RULE},
)
_RUN = _closed(tool=_closed(driver=_DRIVER), results={"type": "array", "items": _RESULT})
_SARIF_SCHEMA = _closed(
    **{"$schema": {"type": "string", "format": "uri"}},
    version={"const": "2.1.0"},
    runs={"type": "array", "minItems": 1, "items": _RUN},
)


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
    schemas.validate(report, _SARIF_SCHEMA)
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


def _zipped(*records: dict[str, Any]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for row in records:
            archive.writestr(f"{row['id']}.json", json.dumps(row))
    return packed.getvalue()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ReleaseServer]:
    """A server of snapshots, and an empty cache; nobody waits between two tries."""
    monkeypatch.setattr("builder.net.http.time.sleep", lambda _seconds: None)
    monkeypatch.setenv("BUILDER_CACHE", str(tmp_path / "cache"))
    with release_server() as opened:
        yield opened


def test_a_snapshot_of_a_server_is_fetched_when_it_has_changed(
    files: dict[str, Path], server: ReleaseServer
) -> None:
    first = _zipped(record("PYSEC-1", "PyPI", "two", **fixed("3")))
    server.add("/PyPI/all.zip", first, etag='"1"')
    words = (files["a.cdx.json"], "--db", f"{server.url}/PyPI/all.zip", "--ignore")
    for _ in range(2):
        assert "two 2.0: PYSEC-1" in run(*words, files["ignore.toml"]).output
    assert [headers.get("if-none-match") for _, headers in server.requests] == [None, '"1"']
    second = _zipped(record("PYSEC-2", "PyPI", "two", **fixed("3")))
    server.add("/PyPI/all.zip", second, etag='"2"')
    assert "two 2.0: PYSEC-2" in run(*words, files["ignore.toml"]).output
    asked = len(server.requests)
    assert "two 2.0: PYSEC-2" in run(*words, files["ignore.toml"], "--offline").output
    assert len(server.requests) == asked


@pytest.mark.parametrize(
    ("word", "text", "code"),
    [
        ("/none.zip", "answered 404", ExitCode.FETCH),
        ("/page.zip", "what the server sends is no ZIP", ExitCode.FETCH),
        ("/half.zip", "cannot read the OSV snapshot", ExitCode.USAGE),
        ("ftp://127.0.0.1/x.zip", "is no address of a snapshot", ExitCode.USAGE),
        ("http://127.0.0.1:9/x.zip", "cannot fetch http://127.0.0.1:9/x.zip", ExitCode.FETCH),
    ],
)
def test_a_snapshot_that_cannot_be_had_says_the_way_out(
    files: dict[str, Path],
    server: ReleaseServer,
    word: str,
    text: str,
    code: ExitCode,
) -> None:
    server.add("/page.zip", b"<html>sign in</html>")
    damaged = bytearray(_zipped(record("PYSEC-1", "PyPI", "two", **fixed("3"))))
    damaged[60] ^= 0xFF
    server.add("/half.zip", bytes(damaged))
    url = word if "://" in word else f"{server.url}{word}"
    done = run(files["a.cdx.json"], "--db", url, "--ignore", files["ignore.toml"])
    assert done.exit_code == code, done.output
    assert text in done.output
    if code is ExitCode.FETCH:
        assert "--db FILE" in done.output
    assert "Traceback" not in done.output


def test_a_record_that_cannot_be_read_is_named_by_its_file(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is never passed over: it could be about what is audited."""
    folder, packed = tmp_path / "folder", tmp_path / "osv.zip"
    folder.mkdir()
    (folder / "other.json").write_text("{}")
    packed.write_bytes(_zipped(record("PYSEC-1", "PyPI", "two", **fixed("3"))))
    monkeypatch.setattr("builder.release.records._LIMIT", 10)
    for path, text in (
        (folder, "a record in other.json has no id"),
        (packed, "PYSEC-1.json is longer than 10 bytes"),
    ):
        done = run(files["a.cdx.json"], "--db", path, "--ignore", files["ignore.toml"])
        assert done.exit_code == ExitCode.USAGE
        assert text in done.output


def test_a_copy_serves_where_the_server_is_away(
    files: dict[str, Path], server: ReleaseServer
) -> None:
    content = _zipped(record("PYSEC-1", "PyPI", "two", **fixed("3")))
    server.add("/all.zip", content, statuses=[200, *[503] * 8])
    words = (files["a.cdx.json"], "--db", f"{server.url}/all.zip", "--ignore", files["ignore.toml"])
    assert run(*words).exit_code == ExitCode.VERIFY
    done = run(*words)
    assert "PYSEC-1" in done.output
    assert "its copy of 20" in done.output
    # A damaged copy is none.
    cache = Path(os.environ["BUILDER_CACHE"])
    (copy,) = (path for path in (cache / "latest").iterdir() if not path.suffix)
    copy.write_bytes(content[:-1])
    assert run(*words).exit_code == ExitCode.FETCH
    done = run(*words, "--offline")
    assert done.exit_code == ExitCode.OFFLINE
    assert "--db FILE" in done.output


def test_a_release_is_audited_by_its_locks_and_pins(files: dict[str, Path]) -> None:
    lock = load_lock(PKGSPEC, "26.9", "backendai-manager")
    pins = load_pins()
    version = max((pin.version for pin in pins.source if pin.minor == lock.python), key=Version)
    wheels = {wheel.name: wheel.version for wheel in lock.wheel}
    own = load_spec(PKGSPEC).release("26.9").full_version_of("backendai-manager")
    records = [
        record("A", "PyPI", "aiohttp", versions=[wheels["aiohttp"]]),
        record("B", "PyPI", "backend.ai-manager", versions=[wheels["backend-ai-manager"]]),
        {
            "id": "C",
            "affected": [
                {
                    "versions": [f"v{version}"],
                    **events(
                        {"introduced": "0"}, kind="GIT", repo="https://github.com/python/cpython"
                    ),
                }
            ],
        },
        record("D", "Debian", "backendai-manager", **events({"introduced": "0"})),
    ]
    files["osv.json"].write_text(json.dumps(records), encoding="utf-8")
    words = ("--db", files["osv.json"], "--ignore", files["ignore.toml"], "--format", "json")
    done = run(*words, "--release", "26.9")
    assert done.exit_code == ExitCode.VERIFY, done.output
    found = {(row["package"], row["id"]) for row in json.loads(done.stdout)}
    assert found == {
        ("backendai-runtime", "A"),
        ("backendai-manager", "B"),
        ("backendai-runtime", "C"),
        ("backendai-manager", "D"),
    }
    assert own in {row["version"] for row in json.loads(done.stdout)}
    assert json.loads(run(*words, "--release").stdout) == json.loads(done.stdout)
    assert run(*words).exit_code == ExitCode.USAGE
    assert run(*words, "--release", "1.0").exit_code == ExitCode.USAGE


def test_an_sbom_may_have_any_name(files: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "inventory"
    other.write_bytes(files["a.cdx.json"].read_bytes())
    words = ("--db", files["osv.json"], "--ignore", files["ignore.toml"])
    assert "inventory: two 2.0: PYSEC-1" in run("--sbom", other, *words).output
    assert run(other, *words).exit_code == ExitCode.USAGE


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
        (("osv.json", '[{"affected": 3}]'), "a record has no id", ExitCode.USAGE),
        (("osv.json", "[7]"), "a record has no id", ExitCode.USAGE),
        (("osv.json", '{"id": "A", "affected": 3}'), "'affected' is no list", ExitCode.USAGE),
        (("osv.json", '{"id": "A", "aliases": [1]}'), "'aliases' is no list", ExitCode.USAGE),
        (
            ("osv.json", '{"id": "A", "affected": [{"ranges": [{"events": ["x"]}]}]}'),
            "the record A is not as it should be: 'events' is no list of dict",
            ExitCode.USAGE,
        ),
        (
            ("osv.json", '{"id": "A", "affected": [{"package": "x"}]}'),
            "'package' is no object",
            ExitCode.USAGE,
        ),
        (("osv.json", "[" * 100_000), "nested too deeply", ExitCode.USAGE),
        (("a.cdx.json", "[]"), "not a JSON object", ExitCode.USAGE),
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
