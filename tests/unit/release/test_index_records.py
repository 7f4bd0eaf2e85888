"""Audits by what the Python index itself knows of wheels."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from builder.base.errors import ExitCode
from builder.cli import main
from builder.release.index_records import index_address
from tests.helpers.servers import ReleaseServer, release_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    """An index, which uv is pointed at; nobody waits between two tries."""
    monkeypatch.setattr("builder.net.http.time.sleep", lambda _seconds: None)
    with release_server() as opened:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{opened.url}/simple/")
        yield opened


@pytest.fixture
def sbom(tmp_path: Path) -> Path:
    """A wheel with a crate in it, another wheel, and CPython."""
    crate = {"name": "ring", "version": "0.1", "purl": "pkg:cargo/ring@0.1"}
    rows: list[dict[str, Any]] = [
        {"name": "A.b", "version": "1.0", "purl": "pkg:pypi/a-b@1.0", "components": [crate]},
        {"name": "two", "version": "2.0", "purl": "pkg:pypi/two@2.0"},
        {"name": "CPython", "version": "3.13.5", "purl": "pkg:generic/python@3.13.5"},
    ]
    path = tmp_path / "p.cdx.json"
    table = [{"type": "library", **row} for row in rows]
    path.write_text(json.dumps({"bomFormat": "CycloneDX", "components": table}))
    return path


def _serve(server: ReleaseServer, name: str, version: str, *rows: dict[str, Any]) -> None:
    page = {"info": {"name": name}, "vulnerabilities": list(rows)}
    server.add(f"/pypi/{name}/{version}/json", json.dumps(page).encode())


_ROW = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-1"],
    "summary": "",
    "details": "Reads too far.\n\nMore of it.",
    "fixed_in": ["1.1", "2.0"],
    "withdrawn": None,
}


def _audit(*words: object) -> Result:
    return CliRunner().invoke(main, ["audit", *map(str, words)])


def test_the_index_is_asked_where_no_snapshot_is_given(server: ReleaseServer, sbom: Path) -> None:
    _serve(server, "a-b", "1.0", _ROW, {**_ROW, "id": "B", "withdrawn": "2026-01-01T00:00:00Z"})
    _serve(server, "two", "2.0")
    done = _audit(sbom, "--format", "json")
    assert done.exit_code == ExitCode.VERIFY, done.output
    (found,) = json.loads(done.stdout)
    assert (found["id"], found["aliases"]) == ("PYSEC-2026-1", ["CVE-2026-1"])
    assert (found["part"], found["version"]) == ("A.b", "1.0")
    assert (found["summary"], found["fixed"]) == ("Reads too far.", ["1.1", "2.0"])
    asked = sorted(path for path, _ in server.requests)
    assert asked == ["/pypi/a-b/1.0/json", "/pypi/two/2.0/json"]
    assert "about 2 wheels; 2 other parts" in done.stderr


def test_a_clean_answer_is_success(server: ReleaseServer, sbom: Path) -> None:
    for name, version in (("a-b", "1.0"), ("two", "2.0")):
        _serve(server, name, version)
    assert _audit(sbom).exit_code == ExitCode.OK


def test_a_wheel_that_the_index_does_not_know_is_named(server: ReleaseServer, sbom: Path) -> None:
    _serve(server, "two", "2.0")
    done = _audit(sbom)
    assert done.exit_code == ExitCode.OK, done.output
    assert "a-b 1.0 is not looked up: the index does not know it" in done.stderr


def test_an_index_without_such_data_is_an_error(server: ReleaseServer, sbom: Path) -> None:
    done = _audit(sbom)
    assert done.exit_code == ExitCode.FETCH
    assert "knows no version of what is audited" in done.stderr
    assert "--db FILE|URL" in done.stderr
    for content in (b"<html>", b"{}", b'{"vulnerabilities": null}'):
        server.add("/pypi/two/2.0/json", content)
        assert _audit(sbom).exit_code == ExitCode.FETCH
    server.add("/pypi/two/2.0/json", b"", statuses=[503] * 9)
    assert _audit(sbom).exit_code == ExitCode.FETCH


def test_offline_nothing_is_asked(server: ReleaseServer, sbom: Path) -> None:
    done = _audit(sbom, "--offline")
    assert done.exit_code == ExitCode.USAGE
    assert "--db FILE" in done.stderr
    assert server.requests == []


@pytest.mark.parametrize(
    ("named", "address"),
    [
        ("https://index.example.org/simple/", "https://index.example.org"),
        ("own=https://index.example.org/simple", "https://index.example.org"),
        ("https://index.example.org/own/pypi?a=b", "https://index.example.org/own/pypi?a=b"),
    ],
)
def test_the_address_is_that_of_uvs_index(
    monkeypatch: pytest.MonkeyPatch, named: str, address: str
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", named)
    assert index_address() == address
