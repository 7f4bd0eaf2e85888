"""Reads TOML, and reports errors in it uniformly."""

import contextlib
import pickle
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from backendai_ctl.base.errors import HostError, RecipeError

try:
    import tomllib
except ModuleNotFoundError:  # the CPython 3.10 of an old release
    tomllib = None  # type: ignore[assignment]

# tomlkit's own errors, and those for values that it accepts: a month 13, a number of 5,000 digits,
# a key of two types.
_PARSER_FAULTS = (TOMLKitError, ValueError, TypeError, LookupError, AttributeError, AssertionError)


class NotTomlError(Exception):
    """A text that is not TOML; the message says where."""


@contextlib.contextmanager
def _parsing() -> Iterator[None]:
    try:
        yield
    except RecursionError as error:
        raise NotTomlError("is not TOML: nested too deeply") from error
    except _PARSER_FAULTS as error:
        raise NotTomlError(f"is not TOML: {error}") from error


def parse_document(text: str) -> tomlkit.TOMLDocument:
    """Return ``text`` with its comments, for editing; NotTomlError if it is not TOML."""
    with _parsing():
        return tomlkit.parse(text)


def parse_table(text: str) -> dict[str, Any]:
    """Return the values in ``text``; NotTomlError if it is not TOML."""
    if tomllib is not None:
        # Ten times faster. What it refuses, the other parser decides on, and words the error.
        with contextlib.suppress(ValueError, RecursionError):
            table: dict[str, Any] = pickle.loads(_parsed(text))
            return table
    document = parse_document(text)
    with _parsing():  # some values fail only here
        return document.unwrap()


@lru_cache(maxsize=64)
def _parsed(text: str) -> bytes:
    """Return the values in ``text``, packed: every caller may change those that it unpacks.

    One command reads the same recipes and questions up to seven times.
    """
    return pickle.dumps(tomllib.loads(text))


def read_table(path: Path, *, hint: str | None = None) -> dict[str, Any]:
    """Return the values in a file of this host; HostError if it cannot be read.

    ``hint`` says what creates the file if it is missing.
    """
    try:
        return parse_table(path.read_text(encoding="utf-8"))
    except PermissionError as error:
        raise HostError(f"cannot read {path}: only root can", hint="use sudo") from error
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    except (UnicodeDecodeError, NotTomlError) as error:
        raise HostError(f"{path}: {error}") from error


@contextlib.contextmanager
def shipped_table(path: Path, package: str) -> Iterator[dict[str, Any]]:
    """Yield the values in a file that ``package`` shipped.

    RecipeError if the file cannot be read, or if the block misses a value or type in it.
    """
    try:
        yield parse_table(path.read_text(encoding="utf-8"))
    except (OSError, NotTomlError, LookupError, TypeError, ValueError) as error:
        raise RecipeError(f"{path}: {_words(error)}", hint=f"reinstall {package}") from error


def _words(error: Exception) -> str:
    match error:
        case OSError():
            return str(error.strerror)
        case KeyError():
            return f"has no {error}"
        case _:
            return str(error) or "a value is not of its kind"


def as_table(value: object) -> dict[str, object]:
    """Return ``value`` as a table; TypeError if it is none."""
    if not isinstance(value, dict):
        raise TypeError(f"a table is due where there is {value!r}")
    return value


def as_list(value: object) -> list[object]:
    """Return ``value`` as a list; TypeError if it is none."""
    if not isinstance(value, list):
        raise TypeError(f"a list is due where there is {value!r}")
    return value


def as_words(value: object) -> tuple[str, ...]:
    """Return the texts of a list; TypeError if it is none."""
    return tuple(str(word) for word in as_list(value))
