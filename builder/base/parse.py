"""Parses TOML and JSON from outside: whatever the text, one kind of error.

Python's parsers also fail by an integer of more digits than Python reads, and by nesting that
is deeper than its stack.
"""

import json
import tomllib
from typing import Any

_SHOWN = 200


class TextError(Exception):
    """A text that is not what it should be; the message says why."""


def parse_toml(text: str) -> dict[str, Any]:
    """The table in ``text``; raises TextError where it is not TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise TextError("not TOML: nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError among them
        raise TextError(f"not TOML: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """The value in ``text``; raises TextError where it is not JSON."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise TextError("not JSON: nested too deeply") from error
    except ValueError as error:
        raise TextError(f"not JSON: {error}") from error


def shown(value: object) -> str:
    """``value`` as a message may show it, whatever its size."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return f"a number of {value.bit_length()} bits" if isinstance(value, int) else "a number"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
