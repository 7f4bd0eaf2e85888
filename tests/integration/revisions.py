"""Copies of the project whose release has another revision, and packages built from them."""

import os
import re
import sys
from pathlib import Path

from builder.base.run import run


def raise_revision(release: Path, revision: int, *packages: str) -> None:
    """Add a changelog entry to a release file: for some packages alone, or for all."""
    text = release.read_text()
    (version,) = re.findall(r'(?m)^version = "(.+)"', text.partition("[[")[0])
    named = f"packages = {list(packages)}\n".replace("'", '"') if packages else ""
    entry = (
        f'[[changelog]]\nversion = "{version}"\nrevision = {revision}\nday = 2026-11-26\n'
        f'{named}changes = ["A test."]\n\n'
    )
    text = text.replace("[[changelog]]", f"{entry}[[changelog]]", 1)
    if not packages:
        text = re.sub(r"(?m)^revision = \d+", f"revision = {revision}", text, count=1)
    release.write_text(text)


def build_in(project: Path, out: Path, *words: str) -> None:
    """Call ``builder build`` in a copy of the project."""
    own = {key: value for key, value in os.environ.items() if key.startswith("BUILDER_")}
    command = [sys.executable, "-m", "builder", "--quiet", "build", *words, "--out", os.fspath(out)]
    run(command, cwd=project, env={**own, "PYTHONPATH": os.fspath(project)})
