"""A copy of the project with one more service."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from builder.base.paths import PROJECT

DATA_FOLDERS = ("debian", "docs", "pkgspec", "postinst", "rpm", "systemd")
PACKAGE = "pkgspec/packages/backendai-toy.toml"
FOLDER = "postinst/services/toy"


def copy_with_toy(
    project: Path, files: Mapping[str, str], folders: Sequence[str] = DATA_FOLDERS
) -> None:
    """Copy the folders, write the toy's files by their paths, and add it to release 26.9."""
    for folder in folders:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / folder, project / folder, ignore=ignored)
    for name, text in files.items():
        path = project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    release = project / "pkgspec/releases/26.9.toml"
    text = release.read_text().replace("packages = [", 'packages = [\n    "backendai-toy",', 1)
    release.write_text(text)
