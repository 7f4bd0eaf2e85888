"""The entry points of distributions that are installed below a folder."""

import configparser
from collections.abc import Iterator
from pathlib import Path


def entry_points(site: Path, group: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of each entry point of ``group`` in a site-packages."""
    for path in sorted(site.glob("*.dist-info/entry_points.txt")):
        parser = parse_entry_points(path.read_text(encoding="utf-8"))
        if parser.has_section(group):
            yield from parser.items(group)


def parse_entry_points(text: str) -> configparser.ConfigParser:
    """Return the text of an ``entry_points.txt``, a section for each group."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    parser.read_string(text)
    return parser
