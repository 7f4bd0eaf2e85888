"""``builder release bump`` and ``new``: versions that no line is moved to."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.base.errors import ExitCode
from builder.cli import main
from builder.spec import Spec


@pytest.fixture(autouse=True)
def _nowhere_to_ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BUILDER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("26.9.0", "26.9.0 is older than"),
        ("26.9.0rc1", "26.9.0rc1 is older than"),
        ("26.8.3", "26.8.3 is not of the line 26.9"),
        ("newest", "'newest' is no version"),
    ],
)
def test_what_is_no_move_forward_is_refused_before_anything_is_resolved(
    real_spec: Spec, version: str, said: str
) -> None:
    before = real_spec.release("26.9").version
    done = CliRunner().invoke(main, ["release", "bump", "26.9", version])
    assert done.exit_code == ExitCode.USAGE, done.output
    assert said in done.output
    assert real_spec.release("26.9").version == before


@pytest.mark.parametrize("line", ["foo/bar", "../26.7", "26", "26.x", "26.7-"])
def test_a_new_line_has_the_name_of_a_line(line: str) -> None:
    done = CliRunner().invoke(main, ["release", "new", line, "--from", "26.8"])
    assert done.exit_code == ExitCode.USAGE, done.output
    assert f"{line!r} is no name of a line" in done.output


@pytest.mark.parametrize(
    "words",
    [["check"], ["bump", "26.9"], ["bump", "26.9", "26.9.99"], ["new", "26.7", "--from", "26.8"]],
)
def test_an_index_that_does_not_answer_is_one_short_error(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    done = CliRunner().invoke(main, ["release", *words])
    assert done.exit_code == ExitCode.FETCH, done.output
    error, hint = done.output.splitlines()
    assert error.startswith(
        "error: the index does not answer: http://127.0.0.1:9/simple/backend-ai-"
    )
    assert error.endswith("Connection refused (os error 111)")
    assert "UV_DEFAULT_INDEX" in hint


@pytest.mark.parametrize("version", ["26.8.2", "26.70.1", "x"])
def test_a_new_line_begins_at_a_version_of_its_own(version: str) -> None:
    words = ["release", "new", "26.7", "--from", "26.8", "--version", version]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == ExitCode.USAGE, done.output
    assert ("is not of the line 26.7" if version != "x" else "'x' is no version") in done.output
