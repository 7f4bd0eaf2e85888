"""The environment that a service and its commands get from /etc/backend.ai/SERVICE.env."""

import os

from backendai_ctl.base.layout import Layout


def read_environment(layout: Layout, service: str) -> dict[str, str]:
    """The variables in the service's file; none where it has no file, or it cannot be read.

    The run script reads the same lines: those that begin with a capital letter.
    """
    path = layout.etc / f"{service}.env"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.partition("=") for line in lines if line[:1].isalpha() and line[:1].isupper())
    return {name: value for name, equals, value in pairs if equals}


def use_environment(layout: Layout, service: str) -> None:
    """Let this process's own PostgreSQL client see what the service's sees."""
    for name, value in read_environment(layout, service).items():
        os.environ.setdefault(name, value)
