"""Libraries of the release that the tool uses, wherever the release has put them."""

import importlib
import sys
from pathlib import Path
from types import ModuleType


def load_library(name: str) -> ModuleType:
    """Import a module of the release's wheels; ImportError if this host has none.

    The runtime has what all services share. A release with one service shares nothing, and
    then its libraries are in the environment of that service.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        folder = _find_folder(name.partition(".")[0])
        if folder is None:
            raise
        sys.path.append(str(folder))
        return importlib.import_module(name)


def _find_folder(package: str) -> Path | None:
    """Return the site-packages of an installed service that has ``package``."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    folders = sorted(Path(sys.prefix).parent.glob(f"*/lib/python{minor}/site-packages"))
    return next((folder for folder in folders if (folder / package).is_dir()), None)
