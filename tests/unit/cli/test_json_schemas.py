"""What commands print for machines is documented: a schema each, that lets nothing else pass.

Every call with --json in the unit tests is checked against its schema, by tests/unit/conftest.py.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from builder.cli import main
from builder.release.compare import Area, Line, Report, Section
from builder.release.news import LineNews, News
from builder.verify.case import Case, Status, Step
from builder.verify.report import as_table
from tests.helpers.json_output import FOLDER, called, json_commands, problems, schema_file
from tests.helpers.schemas import Draft202012Validator

_NO_FLAG = {"audit"}  # it has --format json


def test_every_command_with_json_has_a_schema_and_every_schema_a_command() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == {*json_commands(), *_NO_FLAG}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_schema_is_sound_and_names_its_command(path: Path) -> None:
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    assert schema["title"].startswith(f"builder {path.stem.replace('-', ' ')}") or (
        path.stem == "verify-provenance"
    )
    assert all(
        table.get("additionalProperties") is False
        for table in _tables(schema)
        if "properties" in table
    )


def _tables(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _tables(value)
    if isinstance(node, list):
        for value in node:
            yield from _tables(value)


def test_a_field_that_is_not_documented_is_a_problem() -> None:
    table = {"ready": True, "checks": []}
    assert problems("doctor", table) == []
    assert "surprise" in problems("doctor", {**table, "surprise": 1})[0]
    assert "'checks' is a required property" in problems("doctor", {"ready": True})[0]


def test_output_that_does_not_fit_fails_the_test_that_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDER_CACHE", str(tmp_path))
    words = ["--quiet", "cache", "list", "--json"]
    assert called(main, words) == "cache-list"
    assert called(main, words[:-1]) is None
    assert CliRunner().invoke(main, words).exit_code == 0
    monkeypatch.setattr("builder.cli.cache._by_kind", lambda _entries: [{"surprise": 1}])
    with pytest.raises(AssertionError, match="surprise"):
        CliRunner().invoke(main, words)


def test_the_cases_of_a_verification(tmp_path: Path) -> None:
    step = Step(name="install", status=Status.FAILED, seconds=1.25, detail="no space")
    case = Case(
        distribution="debian-12",
        image="debian:bookworm",
        packages=("a",),
        evidence=tmp_path,
        steps=[step],
    )
    assert problems("verify", as_table([case])) == []


def test_the_news_of_lines_and_the_comparison_of_releases() -> None:
    line = LineNews(
        release="26.9", version="26.9.6", newest="26.9.7", lacking=("a",), maintained_until=""
    )
    news = News(lines=(line,), newest="26.9.7", pre_release=None)
    value = json.loads(json.dumps({**asdict(news), "new_line": news.new_line()}))
    assert problems("release-check", value) == []
    report = Report(
        new="2",
        old="1",
        sections=[Section(title="Wheels", lines=[Line(text="a 1 -> 2")])],
        areas=[Area(name="a", before=1, size=2)],
    )
    assert problems("release-report", json.loads(json.dumps(report.as_dict()))) == []
    assert schema_file("release-report").is_file()
