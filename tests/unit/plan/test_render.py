"""Rendering: strict names, exact bytes, quoting for the language of each text."""

from pathlib import Path

import pytest

from builder.base.errors import SpecError
from builder.plan.render import COMMAND_TABLE, Renderer, quote_systemd
from builder.plan.sources import read_sources


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
