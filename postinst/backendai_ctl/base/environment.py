"""The environment that a service and its commands get from /etc/backend.ai/SERVICE.env."""

import os
from string import ascii_uppercase

from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import read_lines

_CAPITALS = frozenset(ascii_uppercase)


def read_environment(layout: Layout, service: str) -> dict[str, str]:
    """Return the variables in the service's file; none if it is absent or cannot be read.

    The run script reads the same lines: those that begin with a capital letter.
    """
    path = layout.etc / f"{service}.env"
    try:
        lines = read_lines(path)
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if line[:1] in _CAPITALS and "\0" not in line)
    return {name: value for name, equals, value in pairs if equals}


def use_environment(layout: Layout, service: str) -> None:
    """Give this process's own PostgreSQL client the environment of the service's."""
    for name, value in read_environment(layout, service).items():
        os.environ.setdefault(name, value)
