"""Checks whether this host has what an add-on's hardware needs."""

import ctypes
import shutil
from collections.abc import Callable
from pathlib import Path

from backendai_ctl.addons.model import Addon, Need

Loads = Callable[[str], bool]
# Where units and shells find programs; this tool's own environment may have less.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def loads(library: str) -> bool:
    """Whether the dynamic loader finds ``library``: the plug-ins look for it in the same way."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing_needs(addon: Addon, root: Path = Path("/"), can_load: Loads = loads) -> list[str]:
    """Return what to install for the add-on to show devices, one text each; empty if complete."""
    return [need.install for need in addon.needs if not _is_there(need, root, can_load)]


def _is_there(need: Need, root: Path, can_load: Loads) -> bool:
    if any(next(root.glob(pattern.lstrip("/")), None) for pattern in need.paths):
        return True
    folders = ":".join(str(root / folder.lstrip("/")) for folder in _PATH.split(":"))
    if any(shutil.which(program, path=folders) for program in need.programs):
        return True
    # Libraries of another root cannot be loaded here.
    return root == Path("/") and any(can_load(name) for name in need.libraries)
