"""Rendering: strict names, exact bytes, quoting for the language of each text."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from builder.base.cache import Cache
from builder.base.run import run
from builder.plan import sources
from builder.plan.render import TOOL_DESCRIPTION, Renderer
from builder.plan.sources import read_sources

AWKWARD = ["plain", "", "two words", "it's", '"quoted"', "$HOME", "`id`", "a;b", "back\\slash", "*"]


def render(text: str, **context: object) -> str:
    return Renderer({"t.j2": text.encode()}).render("t.j2", context).decode()


@pytest.mark.parametrize("value", AWKWARD)
def test_the_shell_gets_one_word_back(value: str) -> None:
    script = render("printf %s {{ value | sh }}", value=value)
    assert run(["sh", "-c", script]).stdout == value
    assert shlex.split(script)[2] == value


def test_the_tool_is_described_once_for_each_state_of_its_files(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "postinst/backendai_ctl"
    tool.mkdir(parents=True)
    (tool / "__init__.py").touch()
    text = """import argparse
def make_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("--first")
    return parser
"""
    (tool / "cli.py").write_text(text, encoding="utf-8")
    runs = []

    def counted(*args: Any, **named: Any) -> Any:
        runs.append(args)
        return run(*args, **named)

    monkeypatch.setattr(sources, "run", counted)
    first = read_sources(tmp_path, cache)[TOOL_DESCRIPTION]
    assert b"--first" in first
    assert read_sources(tmp_path, cache)[TOOL_DESCRIPTION] == first
    assert len(runs) == 1
    (tool / "cli.py").write_text(text.replace("first", "second"), encoding="utf-8")
    assert b"--second" in read_sources(tmp_path, cache)[TOOL_DESCRIPTION]
