"""Rendering: strict names, exact bytes, quoting for the language of each text."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from builder.base.cache import Cache
from builder.base.errors import SpecError
from builder.base.run import run
from builder.plan import sources
from builder.plan.render import COMMAND_TABLE, TOOL_DESCRIPTION, Renderer, quote_systemd
from builder.plan.sources import read_sources

AWKWARD = ["plain", "", "two words", "it's", '"quoted"', "$HOME", "`id`", "a;b", "back\\slash", "*"]


def render(text: str, **context: object) -> str:
    return Renderer({"t.j2": text.encode()}).render("t.j2", context).decode()


def test_a_name_that_is_not_given_is_an_error_with_its_file() -> None:
    with pytest.raises(SpecError, match=r"t\.j2: 'absent' is undefined"):
        render("{{ absent }}")
    with pytest.raises(SpecError, match=r"t\.j2: "):
        render("{% if %}")


def test_lines_stay_as_they_are_written() -> None:
    text = "a\n{% if yes %}\nb\n{% endif %}\n  {# note #}\nc\n\n"
    assert render(text, yes=True) == "a\nb\nc\n\n"


def test_a_template_may_include_another() -> None:
    sources = {"a.j2": b"{% include 'lib.sh' %}end\n", "lib.sh": b"f() { :; }\n"}
    assert Renderer(sources).render("a.j2", {}) == b"f() { :; }\nend\n"


def test_what_is_no_template_is_left_alone() -> None:
    data = b"{{ not rendered }}\xff\n"
    assert Renderer({"plain": data}).render("plain", {}) == data


@pytest.mark.parametrize("value", AWKWARD)
def test_the_shell_gets_one_word_back(value: str) -> None:
    script = render("printf %s {{ value | sh }}", value=value)
    assert run(["sh", "-c", script]).stdout == value
    assert shlex.split(script)[2] == value


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("plain", "plain"),
        ("100%", "100%%"),
        ("two words", '"two words"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("it's", '"it\'s"'),
        ("a;b", '"a;b"'),
        ("back\\slash", "back\\\\slash"),
        ("", '""'),
        (8081, "8081"),
    ],
)
def test_systemd_gets_one_word(value: object, quoted: str) -> None:
    assert quote_systemd(value) == quoted
    assert render("{{ value | systemd }}", value=value) == quoted


def test_sources_are_every_file_that_a_package_may_ship(tmp_path: Path) -> None:
    for name in ("debian/a", "postinst/lib/b.py", "postinst/lib/__pycache__/b.pyc", "builder/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert sorted(read_sources(tmp_path)) == ["debian/a", COMMAND_TABLE, "postinst/lib/b.py"]


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
