"""Text of files that others write and read: a line ends at a newline, and nowhere else.

Python also ends lines at other characters (form feed, U+0085, U+2028), changes a carriage
return, and fails at bytes that are not UTF-8. Shells, systemd and libpq do none of that.
"""

import re
from collections.abc import Sequence
from pathlib import Path

_BLANKS = re.compile(r"[ \t]+")
_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")


def decode(data: bytes) -> str:
    """Return bytes as text, from which :func:`encode` gives the very same bytes."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Return the bytes from which :func:`decode` made ``text``."""
    return text.encode("utf-8", "surrogateescape")


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file without their newlines; OSError if it cannot be read."""
    return lines_of(decode(path.read_bytes()))


def lines_if_any(path: Path) -> list[str]:
    """Return the same; no lines if the file cannot be read."""
    try:
        return read_lines(path)
    except OSError:
        return []


def text_if_any(path: Path) -> str:
    """Return the text of a file, as :func:`decode` has it; empty if it cannot be read."""
    try:
        return decode(path.read_bytes())
    except OSError:
        return ""


def lines_of(text: str) -> list[str]:
    """Return the lines of ``text`` without their newlines; the last newline may be missing."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def fields_of(line: str) -> list[str]:
    """Return the fields of a line of fstab(5) or of proc(5): blanks and tabs separate them."""
    text = line.strip(" \t")
    return _BLANKS.split(text) if text else []


def unescaped(field: str) -> str:
    """Return a field with the bytes that fstab(5) and the kernel write as octal numbers."""
    return decode(_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), encode(field)))


def table_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of as many cells each as lines, with the cells of a column below each other."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def value_of(text: str) -> str:
    """Return a value without the blanks and newlines around it; other characters belong to it."""
    return text.strip(" \t\r\n")
