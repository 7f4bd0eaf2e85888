"""The fields of a release's GraphQL schemas, out of the texts that its gateway has. Pure."""

import re
from collections.abc import Iterator, Mapping

_QUOTED = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""|(?P<string>"(?:[^"\\\n]|\\.)*")|#[^\n]*')
_TEXT = "~"  # stands for a string: a description or a default
_DIRECTIVE = re.compile(r"@[\w.]+")
_TOKEN = re.compile(r"[\w.]+|[{}()\[\]:!=|&~]")
_KINDS = {"type", "interface", "input", "enum"}
_OPEN, _CLOSE = "([{", ")]}"


def read_fields(texts: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
    """Return the fields of each schema."""
    return {name: frozenset(fields_of(text)) for name, text in texts.items()}


def fields_of(text: str) -> Iterator[str]:
    """Yield the fields of a schema's text, as TYPE.FIELD(ARGUMENT: TYPE): TYPE, or ENUM.VALUE."""
    plain = _QUOTED.sub(lambda found: _TEXT if found["string"] else " ", text)
    tokens = list(_without_directives(plain))
    position = 0
    while position < len(tokens):
        if tokens[position] not in _KINDS or position + 1 >= len(tokens):
            position += 1
            continue
        kind, name = tokens[position], tokens[position + 1]
        start = position + 2
        # A type may implement others before its fields, or have none.
        while start < len(tokens) and tokens[start] not in ("{", *_KINDS):
            start += 1
        if start == len(tokens) or tokens[start] != "{":
            position = start
            continue
        end = _end(tokens, start)
        yield from _members(kind, name, tokens[start + 1 : end])
        position = end + 1


def _without_directives(text: str) -> Iterator[str]:
    """Yield the tokens of a text, without directives and their arguments."""
    after, depth = False, 0
    for found in re.finditer(rf"{_DIRECTIVE.pattern}|{_TOKEN.pattern}", text):
        token = found[0]
        if token.startswith("@"):
            after = True
        elif after and token == "(" and not depth:
            depth = 1
        elif depth:
            depth += (token in _OPEN) - (token in _CLOSE)
            after = bool(depth)
        else:
            after = False
            yield token


def _end(tokens: list[str], start: int) -> int:
    """Return the place of the bracket that closes the one at ``start``."""
    depth = 0
    for place in range(start, len(tokens)):
        depth += (tokens[place] in _OPEN) - (tokens[place] in _CLOSE)
        if not depth:
            return place
    return len(tokens)


def _members(kind: str, name: str, tokens: list[str]) -> Iterator[str]:
    if kind == "enum":
        yield from (f"{name}.{token}" for token in tokens if token != _TEXT)
        return
    position = 0
    while position < len(tokens):
        position += tokens[position] == _TEXT
        field, position = tokens[position], position + 1
        arguments = ""
        if tokens[position : position + 1] == ["("]:
            end = _end(tokens, position)
            arguments = f"({', '.join(_arguments(tokens[position + 1 : end]))})"
            position = end + 1
        written, position = _type(tokens, position + 1)  # behind the colon
        yield f"{name}.{field}{arguments}: {written}"


def _arguments(tokens: list[str]) -> Iterator[str]:
    position = 0
    while position < len(tokens):
        position += tokens[position] == _TEXT
        name = tokens[position]
        written, position = _type(tokens, position + 2)
        yield f"{name}: {written}"


def _type(tokens: list[str], position: int) -> tuple[str, int]:
    """Return a type as it is written, and the place behind it and its default."""
    start = position
    position = _end(tokens, position) + 1 if tokens[position : position + 1] == ["["] else start + 1
    while tokens[position : position + 1] == ["!"]:
        position += 1
    written = "".join(tokens[start:position])
    if tokens[position : position + 1] == ["="]:
        value = position + 1
        opens = tokens[value : value + 1] in (["["], ["{"])
        position = _end(tokens, value) + 1 if opens else value + 1
    return written, position
