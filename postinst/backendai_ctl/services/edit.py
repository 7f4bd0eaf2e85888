"""Edits TOML and INI text by key, and keeps comments and order."""

import re
from collections.abc import Mapping, MutableMapping

import tomlkit
from tomlkit.items import Item

from backendai_ctl.base.errors import RecipeError
from backendai_ctl.base.text import lines_of
from backendai_ctl.base.toml import NotTomlError, parse_document


def edit_toml(text: str, settings: Mapping[str, object], remove: tuple[str, ...]) -> str:
    """Return ``text`` with each dotted key set, and each key of ``remove`` removed."""
    try:
        document = parse_document(text)
    except NotTomlError as error:
        raise RecipeError(f"a sample {error}") from error
    for dotted in remove:
        *parents, key = dotted.split(".")
        table = _descend(document, parents, make=False)
        if table is not None and key in table:
            del table[key]
    for dotted, value in settings.items():
        *parents, key = dotted.split(".")
        table = _descend(document, parents, make=True)
        if table is not None:
            table[key] = _item(value)
    return tomlkit.dumps(document)


def _descend(
    document: MutableMapping[str, object], parents: list[str], *, make: bool
) -> MutableMapping[str, object] | None:
    table = document
    for name in parents:
        if name not in table:
            if not make:
                return None
            table[name] = tomlkit.table()
        below = table[name]
        if not isinstance(below, MutableMapping):
            raise RecipeError(f"a sample has a value where '{'.'.join(parents)}' is a table")
        table = below
    return table


def _item(value: object) -> Item:
    if isinstance(value, dict):
        inline = tomlkit.inline_table()
        inline.update(value)
        return inline
    if isinstance(value, list):
        array = tomlkit.array()
        array.extend(_item(member) for member in value)
        return array
    return tomlkit.item(value)


def edit_ini(text: str, settings: Mapping[str, object]) -> str:
    """Return ``text`` with each SECTION.KEY set; a % is doubled, as configparser requires."""
    lines = lines_of(text)
    for dotted, value in settings.items():
        section, _, key = dotted.partition(".")
        line = f"{key} = {str(value).replace('%', '%%')}"
        start, end = _section(lines, section)
        found = [at for at in range(start, end) if re.match(rf"{re.escape(key)}\s*[=:]", lines[at])]
        if found:
            lines[found[0]] = line
        else:
            lines.insert(end, line)
    return "\n".join(lines) + "\n"


def _section(lines: list[str], section: str) -> tuple[int, int]:
    """Return the range of lines in [section]; an absent one is added at the end."""
    heads = [at for at, line in enumerate(lines) if line.startswith("[")]
    for at in heads:
        if lines[at].strip() == f"[{section}]":
            return at + 1, min((head for head in heads if head > at), default=len(lines))
    lines += ["", f"[{section}]"]
    return len(lines), len(lines)


_ENV_HEAD = """\
# The environment of the service and of its commands: one NAME=VALUE a line, as it is,
# without quotes.
"""


def make_env(settings: Mapping[str, object]) -> str:
    """Return the text of an environment file, for settings that the release reads only there."""
    return _ENV_HEAD + "".join(f"{name}={value}\n" for name, value in settings.items())
