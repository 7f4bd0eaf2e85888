"""Compiled templates of earlier builds."""

import pytest
from jinja2 import Environment

from builder.base.cache import Cache
from builder.plan.compiled import open_compiled
from builder.plan.render import Renderer


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that jinja2 compiles from now on."""
    texts: list[str] = []
    real = Environment._generate

    def generate(environment: Environment, source: object, *args: object, **named: object) -> str:
        texts.append(str(args[0]))
        return str(real(environment, source, *args, **named))  # type: ignore[arg-type]

    monkeypatch.setattr(Environment, "_generate", generate)
    return texts


def render(cache: Cache, text: str) -> bytes:
    kept = open_compiled(cache)
    sources = {"a.j2": text.encode(), "b.sh": b"inside"}
    rendered = Renderer(sources, kept).render("a.j2", {"value": 1})
    kept.save()
    return rendered


def test_a_template_is_compiled_once_for_the_same_text(cache: Cache, compiled: list[str]) -> None:
    text = "{{ value }} {% include 'b.sh' %}"
    assert render(cache, text) == render(cache, text) == b"1 inside"
    assert sorted(compiled) == ["a.j2", "b.sh"]


def test_a_changed_template_is_compiled_again(cache: Cache, compiled: list[str]) -> None:
    assert (render(cache, "{{ value }}"), render(cache, "-{{ value }}")) == (b"1", b"-1")
    assert compiled == ["a.j2", "a.j2"]


@pytest.mark.parametrize("damage", [b"", b"0\n{}", b"\xff", b"{"])
def test_a_damaged_file_is_written_again(cache: Cache, compiled: list[str], damage: bytes) -> None:
    render(cache, "{{ value }}")
    (path,) = (cache.root / "templates").iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage)
    assert render(cache, "{{ value }}") == b"1"
    assert path.read_bytes() == whole
    assert compiled == ["a.j2", "a.j2"]


def test_changed_bytes_in_the_middle_are_noticed(cache: Cache, compiled: list[str]) -> None:
    render(cache, "{{ value }}")
    (path,) = (cache.root / "templates").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert render(cache, "{{ value }}") == b"1"
    assert compiled == ["a.j2", "a.j2"]


def test_nothing_is_written_where_nothing_was_compiled(cache: Cache) -> None:
    render(cache, "{{ value }}")
    (path,) = (cache.root / "templates").iterdir()
    before = path.stat().st_mtime_ns
    render(cache, "{{ value }}")
    assert path.stat().st_mtime_ns == before
