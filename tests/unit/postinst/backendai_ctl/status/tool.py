"""The command line on the tree of a test."""

import os

from backendai_ctl import cli
from backendai_ctl.base.layout import Layout


def run(layout: Layout, *arguments: str) -> int:
    """The command line on that tree."""
    return cli.main(["--root", os.fspath(layout.root), "--as-caller", *arguments])
