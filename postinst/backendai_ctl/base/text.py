"""Text of files that others write and read: a line ends at a newline, and nowhere else.

Python also ends lines at other characters (form feed, U+0085, U+2028), changes a carriage
return, and fails at bytes that are not UTF-8. Shells, systemd and libpq do none of that.
"""

from pathlib import Path


def decode(data: bytes) -> str:
    """Return bytes as text, from which :func:`encode` gives the very same bytes."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Return the bytes from which :func:`decode` made ``text``."""
    return text.encode("utf-8", "surrogateescape")


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file without their newlines; OSError if it cannot be read."""
    return lines_of(decode(path.read_bytes()))


def lines_of(text: str) -> list[str]:
    """Return the lines of ``text`` without their newlines; the last newline may be missing."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines
