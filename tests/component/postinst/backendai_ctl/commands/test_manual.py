"""Manual pages and completion say all that the tools take, and are clean."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from builder.base.paths import PROJECT
from builder.base.run import run
from builder.cli import main as builder_command
from builder.cli.manual import describe, manual_text
from builder.plan.render import Renderer, quote_roff, sentence
from builder.plan.sources import read_sources

PAGES = {
    "backendai-ctl.8": "docs/man/backendai-ctl.8.j2",
    "backend.ai.1": "docs/man/backend.ai.1.j2",
}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Every page's text by its name."""
    renderer = Renderer(read_sources(PROJECT))
    day = SimpleNamespace(day="2026-11-23")
    release = SimpleNamespace(version="26.9.6", changelog_of=lambda _package: [day])
    context = {"release": release, "package": SimpleNamespace(name="backendai-common")}
    shipped = {name: renderer.render(source, context).decode() for name, source in PAGES.items()}
    return {**shipped, "builder.1": manual_text()}


@pytest.fixture(scope="module")
def words() -> list[str]:
    """Every command of backendai-ctl, as the tool itself has them."""
    from backendai_ctl.commands import commands_with  # noqa: PLC0415

    return [command.name for command in commands_with(None)]


def test_the_manual_has_every_command(pages: dict[str, str], words: list[str]) -> None:
    assert len(words) > 6
    text = pages["backendai-ctl.8"]
    for word in words:
        assert f"\n.SS {quote_roff(word)}" in text, word


def test_the_completion_has_every_command(words: list[str]) -> None:
    table = Renderer(read_sources(PROJECT)).render("postinst/completion/backendai-ctl.j2", {})
    rows = dict(line.split("\t") for line in table.decode().splitlines() if line)
    assert set(words) <= set(rows[""].split())
    assert "@services" in rows["configure"].split()
    assert "--timeout" in rows["wait"].split()


def test_the_builders_manual_has_every_command(pages: dict[str, str]) -> None:
    assert isinstance(builder_command, click.Group)
    text = pages["builder.1"]
    for command in describe(builder_command)["commands"]:
        names = [f"{command['name']} {child['name']}" for child in command["commands"]]
        for name in names or [command["name"]]:
            assert f"\n.SS {quote_roff(name)}" in text, name


@pytest.mark.parametrize("name", [*PAGES, "builder.1"])
def test_a_page_is_clean(name: str, pages: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed: apt-get install mandoc")
    (tmp_path / name).write_text(pages[name])
    found = run(["mandoc", "-Tlint", "-Wall", tmp_path / name], check=False)
    wrong = [line for line in found.stdout.splitlines() if "STYLE: referenced manual" not in line]
    assert not wrong


def test_text_cannot_be_taken_for_a_request() -> None:
    assert quote_roff(".TH it's\n'x' a\\b --c") == "\\&.TH it's\n\\&'x' a\\eb \\-\\-c"
    assert sentence("make  it; then\n  go") == "Make it; then go."
