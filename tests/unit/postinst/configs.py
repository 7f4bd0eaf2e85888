"""Configuration files that a test made, as their services read them."""

import tomllib
from collections.abc import Callable

from backendai_ctl.base.layout import Layout

Configured = Callable[..., list[str]]


def made(layout: Layout, name: str) -> dict[str, dict[str, object]]:
    """A configuration file as its service reads it."""
    return tomllib.loads((layout.etc / name).read_text())


def table(value: object) -> dict[str, object]:
    """``value``, which is a table."""
    assert isinstance(value, dict)
    return value
