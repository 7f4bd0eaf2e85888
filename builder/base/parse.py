"""Parses TOML and JSON from outside, with one kind of error for any wrong text.

Python's parsers also fail on an integer of more digits than Python reads, and on nesting
deeper than its stack.
"""

import json
import tomllib
from typing import Any

_SHOWN = 200


class TextError(Exception):
    """A text is not valid; the message is the reason."""


def parse_toml(text: str) -> dict[str, Any]:
    """Return the table in ``text``; raises TextError if it is not TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise TextError("not TOML: nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError among them
        raise TextError(f"not TOML: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """Return the value in ``text``; raises TextError if it is not JSON."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise TextError("not JSON: nested too deeply") from error
    except ValueError as error:
        raise TextError(f"not JSON: {error}") from error


def parse_json_object(text: str | bytes) -> dict[str, Any]:
    """Return the object in ``text``; raises TextError if it is not JSON, or no object."""
    table = parse_json(text)
    if not isinstance(table, dict):
        raise TextError("not a JSON object")
    return table


def shown(value: object) -> str:
    """Return ``value`` as a message may show it, whatever its size."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return f"a number of {value.bit_length()} bits" if isinstance(value, int) else "a number"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
