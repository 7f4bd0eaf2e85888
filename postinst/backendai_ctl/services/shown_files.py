"""Files outside a service's own that its configuration names, and that its unit would hide.

The units of services that run as the account hide /etc/backend.ai and the secrets, except the
files that the package lists. A drop-in shows an admin's certificate there to its service.
"""

import re
from pathlib import Path

from backendai_ctl.base.files import Writer, private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import unit_of
from backendai_ctl.services.recipe import Recipe, installed_services, load_recipe

# The paths of both folders in any format of configuration, and of a file in one.
_NAMED = re.compile(r"/(?:etc/backend\.ai|var/lib/backendai/secrets)/[\w./@+-]+")
_HEAD = "# Made by `backendai-ctl configure`: files that the configuration of this service names.\n"
_HIDES = "TemporaryFileSystem=/etc/backend.ai"


def drop_in(layout: Layout, service: str) -> Path:
    """Return the path of the drop-in that shows the files to the unit of ``service``."""
    return layout.unit_settings(unit_of(service)) / "50-files.conf"


def hidden_files(layout: Layout, recipe: Recipe) -> list[str]:
    """Return the files that the configuration names and the unit does not show."""
    shown = _read(drop_in(layout, recipe.service)).splitlines()
    return [path for path in _named_files(layout, recipe) if _setting(path) not in shown]


def show_named_files(layout: Layout, recipe: Recipe) -> bool:
    """Write or remove the drop-in of the service's unit; return whether it changed."""
    path = drop_in(layout, recipe.service)
    known = _read(path)
    settings = [_setting(file) for file in _named_files(layout, recipe)]
    text = "\n".join([f"{_HEAD}[Service]", *settings, ""]) if settings else ""
    if text == known or (known and not known.startswith(_HEAD)):
        return False  # already as wanted, or the admin's own
    if not text:
        path.unlink()
        return True
    private = private_writer()
    private.ensure_folder(path.parent, mode=0o755)
    Writer(owner=private.owner, mode=0o644).replace(path, text)
    return True


def _named_files(layout: Layout, recipe: Recipe) -> list[str]:
    """Return the files that are named and exist, and that the packages neither show nor make."""
    unit = _read(layout.shipped_unit(unit_of(recipe.service)))
    if _HIDES not in unit:
        return []  # the service runs as root, and no unit hides anything from root
    shown = unit.splitlines()
    made = _made_files(layout)
    return sorted(
        path
        for config in recipe.configs
        for path in _paths(_read(layout.etc / config.file))
        if _setting(path) not in shown
        and not path.startswith(f"/etc/backend.ai/{recipe.service}.d/")
        and path.rpartition("/")[2].removesuffix(".new") not in made
        and (layout.root / path.lstrip("/")).is_file()
    )


def _made_files(layout: Layout) -> set[str]:
    """Return the names of the files that the packages create; each is for one service only."""
    recipes = [load_recipe(layout, service) for service in installed_services(layout)]
    return {layout.site.name, *(config.file for recipe in recipes for config in recipe.configs)}


def _paths(text: str) -> set[str]:
    """Return the files of both folders that a configuration names outside its comments."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith(("#", ";")))
    return {path for line in lines for path in _NAMED.findall(line) if ".." not in path}


def _setting(path: str) -> str:
    return f"BindReadOnlyPaths=-{path}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
