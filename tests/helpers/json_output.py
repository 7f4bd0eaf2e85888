"""The schemas of what commands print with ``--json``, and the check of such output."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
from click.testing import Result

from builder.base.paths import PROJECT
from builder.cli import main
from tests.helpers.schemas import Draft202012Validator

FOLDER = PROJECT / "docs/reference/schemas"
_FLAG = "--json"


@cache
def json_commands() -> dict[str, click.Command]:
    """Return the commands that have ``--json``, by the names of their schemas."""
    return {
        "-".join(words): command
        for words, command in _walk(main, ())
        if any(_FLAG in parameter.opts for parameter in command.params)
    }


def _walk(
    command: click.Command, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield words, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None, name
        yield from _walk(found, (*words, name))


def schema_file(name: str) -> Path:
    """Return where the schema of a command is."""
    return FOLDER / f"{name}.json"


def problems(name: str, value: Any) -> list[str]:
    """Return how a value differs from the schema of a command's output."""
    schema = json.loads(schema_file(name).read_text(encoding="utf-8"))
    errors = Draft202012Validator(schema).iter_errors(value)
    return [f"{name}: {error.json_path}: {error.message[:300]}" for error in errors]


def called(command: click.Command, words: list[str]) -> str | None:
    """Return the schema's name of a call; None where it does not print JSON."""
    rest = iter(words)
    while isinstance(command, click.Group):
        word = next((word for word in rest if not word.startswith("-")), None)
        found = command.get_command(click.Context(command), word) if word else None
        if found is None:
            return None
        command = found
    if _FLAG not in rest:
        return None
    return next((name for name, one in json_commands().items() if one is command), None)


def check(command: click.Command, words: list[str], result: Result) -> None:
    """Fail if a call has printed JSON that is not as its schema says."""
    name = called(command, words)
    if name is None or not result.stdout.strip() or result.exit_code == 2:
        return
    found = problems(name, json.loads(result.stdout))
    assert not found, "\n".join(found)
