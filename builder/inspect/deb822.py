"""Reads control paragraphs by dpkg's rules: a line ends at a newline and nowhere else. Pure.

Python takes many more characters for line ends and for white space (form feed, U+0085,
U+2028 and others); a description that holds one would lose all fields behind it, or gain
some. Bytes that are no UTF-8 stay as they are: see :func:`decode` and :func:`encode`.
https://manpages.debian.org/deb822
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from builder.inspect.streams import DamagedError

# The white space of isspace() in the C locale, except the newline.
SPACE = " \t\r\f\v"
# dpkg reads the first as the end of the file; the second ends a text in C.
_REFUSED = {"\x1a": "the control character 0x1A", "\0": "a NUL byte"}
_SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a paragraph."""

    name: str  # as it is written
    lines: tuple[str, ...]  # as they are, without their newlines; the first has the name

    @property
    def key(self) -> str:
        """The name by which fields are compared."""
        return self.name.lower()

    @property
    def value(self) -> str:
        """The value; continuation lines without their first blank, "." for an empty one."""
        first = self.lines[0].partition(":")[2].strip(SPACE)
        return "\n".join([first, *map(_unfold, self.lines[1:])])


def decode(data: bytes) -> str:
    """Decode bytes of a package as text; :func:`encode` returns the very same bytes."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Return the bytes that :func:`decode` turned into ``text``."""
    return text.encode("utf-8", "surrogateescape")


def is_utf8(data: bytes) -> bool:
    """Return whether ``data`` is text in UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def printable(text: str) -> str:
    """Return ``text`` for a terminal, a page or a log: bytes that are no UTF-8 become U+FFFD."""
    return encode(text).decode("utf-8", "replace")


def split_fields(text: str) -> list[Field]:
    """Return the fields of the first paragraph of ``text``, with unchanged lines.

    A line that is neither a field nor a continuation is skipped.
    """
    return list(_fields(text, strict=False))


def parse_fields(text: str) -> dict[str, str]:
    """Return the values of the first paragraph's fields, by their names in lower case."""
    return {field.key: field.value for field in split_fields(text)}


def split_control(text: str) -> list[Field]:
    """Return the fields of a control file, which has one paragraph.

    Raises DamagedError if dpkg would refuse it: a line that is no field, a repeated field,
    a blank line within a value, a second paragraph, a character that ends the text.
    """
    for sign, name in _REFUSED.items():
        if sign in text:
            raise DamagedError(f"its control file holds {name}")
    fields = list(_fields(text, strict=True))
    seen: set[str] = set()
    for field in fields:
        if field.key in seen:
            raise DamagedError(f"its control file has the field {field.name} twice")
        seen.add(field.key)
    return fields


def _fields(text: str, *, strict: bool) -> Iterator[Field]:
    lines: list[str] = []
    for line in _paragraph(text, strict=strict):
        if line[0] in SPACE and lines:
            lines.append(line)
        elif _is_field(line):
            if lines:
                yield _field(lines)
            lines = [line]
        elif strict:
            raise DamagedError(f"its control file has the line {line[:_SHOWN]!r}: no field")
    if lines:
        yield _field(lines)


def _paragraph(text: str, *, strict: bool) -> list[str]:
    """Return the lines of the first paragraph."""
    rows = iter(itertools.dropwhile(_is_blank, text.split("\n")))
    lines = list(itertools.takewhile(lambda row: not _is_blank(row), rows))
    behind = next(itertools.dropwhile(_is_blank, rows), None)
    if strict and behind is not None:
        raise DamagedError(
            f"its control file has a blank line, and more behind it: {behind[:_SHOWN]!r}"
        )
    return lines


def _is_blank(line: str) -> bool:
    return not line.strip(SPACE)


def _is_field(line: str) -> bool:
    name, colon, _ = line.partition(":")
    name = name.rstrip(SPACE)
    return bool(colon and name) and not set(name) & set(SPACE)


def _field(lines: list[str]) -> Field:
    return Field(name=lines[0].partition(":")[0].rstrip(SPACE), lines=tuple(lines))


def _unfold(line: str) -> str:
    # A line with a dot alone stands for an empty one.
    stripped = line[1:].rstrip(SPACE)
    return "" if stripped == "." else stripped
