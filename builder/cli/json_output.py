"""JSON on stdout, of any length: rows are written as they are read."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

import click

_INDENT = "  "
_TOGETHER = 1000  # pieces of a write


def print_json(value: object) -> None:
    """Print what ``json.dumps(value, indent=2)`` returns; a list may be any iterable."""
    pieces = _pieces(value, "\n")
    while some := list(islice(pieces, _TOGETHER)):
        click.echo("".join(some), nl=False)
    click.echo()


def _pieces(value: object, line: str) -> Iterator[str]:
    match value:
        case str():
            yield json.dumps(value)
        case Mapping():
            yield from _enclosed("{}", value.items(), _member, line)
        case Iterable():
            yield from _enclosed("[]", value, _pieces, line)
        case _:
            yield json.dumps(value)


def _member(member: tuple[str, object], line: str) -> Iterator[str]:
    name, value = member
    yield f"{json.dumps(name)}: "
    yield from _pieces(value, line)


def _enclosed(
    signs: str, rows: Iterable[object], render: Callable[..., Iterator[str]], line: str
) -> Iterator[str]:
    before = signs[0]
    for row in rows:
        yield f"{before}{line}{_INDENT}"
        yield from render(row, f"{line}{_INDENT}")
        before = ","
    yield signs if before == signs[0] else f"{line}{signs[1]}"
