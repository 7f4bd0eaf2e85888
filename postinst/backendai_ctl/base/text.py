"""Text of files that others write and read: a line ends at a newline, and nowhere else.

Python takes more characters for line ends (form feed, U+0085, U+2028), changes a carriage
return, and fails at bytes that are no UTF-8. Shells, systemd and libpq do none of that.
"""

from pathlib import Path


def decode(data: bytes) -> str:
    """Bytes as text; :func:`encode` gives the very same bytes back."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes that :func:`decode` made ``text`` of."""
    return text.encode("utf-8", "surrogateescape")


def read_lines(path: Path) -> list[str]:
    """The lines of a file without their newlines; OSError where it cannot be read."""
    return lines_of(decode(path.read_bytes()))


def lines_of(text: str) -> list[str]:
    """The lines of ``text`` without their newlines; the last one may lack its newline."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines
