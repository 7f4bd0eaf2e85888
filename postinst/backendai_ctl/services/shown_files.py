"""What a service's unit shows and hides beyond what its package says, in a drop-in.

The units of services that run as the account hide the shared folders, except what the package
lists. The drop-in shows an admin's certificate or folder there to the service whose configuration
names it, and hides the folders of users from services whose configurations do not name them.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from backendai_ctl.answers.site import load_site
from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.files import Writer, private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import unit_of
from backendai_ctl.base.text import lines_of, text_if_any
from backendai_ctl.base.toml import NotTomlError, parse_table
from backendai_ctl.services.recipe import Recipe, installed_services, load_recipe
from backendai_ctl.services.volumes import volumes_of

# Paths below the folders that units hide, in a value of any configuration.
_NAMED = re.compile(
    r"/(?:etc/backend\.ai|var/lib/backendai|var/log/backendai|run/backendai)/[\w./@+-]+"
)
# What the packages keep below /var/lib/backendai for root.
_OF_ROOT = {"backup", "credentials", "first-boot", "generated", "seed", "upgrade"}
_OF_FILES = ("/etc/backend.ai", "/var/lib/backendai/secrets")
_HEAD = "# Made by `backendai-ctl configure`: what the unit shows and hides by site.toml.\n"
# Of earlier packages.
_HEADS = (
    _HEAD,
    "# Made by `backendai-ctl configure`: files that the configuration of this service names.\n",
)
_HIDES = "TemporaryFileSystem=/etc/backend.ai"
# What a unit's list of paths takes without quotes and escapes.
_PLAIN = re.compile(r"/[\w./@+-]+")


def drop_in(layout: Layout, service: str) -> Path:
    """Return the path of the drop-in of the unit of ``service``."""
    return layout.unit_settings(unit_of(service)) / "50-files.conf"


def hidden_files(layout: Layout, recipe: Recipe) -> list[str]:
    """Return the files and folders that the configuration names and the unit does not show."""
    known = lines_of(text_if_any(drop_in(layout, recipe.service)))
    return [path for path in _named_files(layout, recipe) if _shows(layout, path) not in known]


def show_named_files(layout: Layout, recipe: Recipe) -> bool:
    """Write or remove the drop-in of the service's unit; return whether it changed."""
    path = drop_in(layout, recipe.service)
    known = text_if_any(path)
    settings = [_shows(layout, file) for file in _named_files(layout, recipe)]
    settings += [f"InaccessiblePaths=-{folder}" for folder in _folders_of_others(layout, recipe)]
    text = "\n".join([f"{_HEAD}[Service]", *settings, ""]) if settings else ""
    if text == known or (known and not known.startswith(_HEADS)):
        return False  # already as wanted, or the admin's own
    if not text:
        path.unlink(missing_ok=True)
        return True
    private = private_writer()
    private.ensure_folder(path.parent, mode=0o755)
    Writer(owner=private.owner, mode=0o644).replace(path, text)
    return True


def _is_isolated(layout: Layout, service: str) -> bool:
    """Whether the unit hides anything: units of services that run as root do not."""
    return _HIDES in text_if_any(layout.shipped_unit(unit_of(service)))


def _named_files(layout: Layout, recipe: Recipe) -> list[str]:
    """Return what is named and exists, and what the packages neither show nor make."""
    if not _is_isolated(layout, recipe.service):
        return []
    shown = lines_of(text_if_any(layout.shipped_unit(unit_of(recipe.service))))
    made = _made_files(layout)
    return sorted(
        path
        for path in _paths(layout, recipe)
        if _shows(layout, path) not in shown
        and not path.startswith(f"/etc/backend.ai/{recipe.service}.d/")
        and path.rpartition("/")[2].removesuffix(".new") not in made
        and _may_be_shown(layout, path)
    )


def _may_be_shown(layout: Layout, path: str) -> bool:
    """Whether ``path`` exists and is the admin's, neither root's nor a service's."""
    place = layout.place(path)
    if path.startswith(_OF_FILES):
        return place.is_file()
    folder = re.sub(r"^/(var/lib|var/log|run)/backendai/", "", path).partition("/")[0]
    services = installed_services(layout)
    return folder not in _OF_ROOT | {"trust", *services} and place.exists()


def _folders_of_others(layout: Layout, recipe: Recipe) -> list[str]:
    """Return the folders of other services' recipes that this configuration does not name."""
    if not _is_isolated(layout, recipe.service) or recipe.folders:
        return []
    try:
        site = load_site(layout)
    except TargetError:
        return []  # reading the configuration reports it
    others = [load_recipe(layout, service) for service in installed_services(layout)]
    has_volumes = any(other.folders for other in others)
    folders = {volume.path for volume in volumes_of(site)} if has_volumes else set()
    values = [*_values(layout, recipe)]
    return sorted(
        folder
        for folder in folders
        if _PLAIN.fullmatch(folder)
        and not _NAMED.match(folder)  # the unit hides it already
        and not any(folder in value for value in values)
    )


def _made_files(layout: Layout) -> set[str]:
    """Return the names of the files that the packages create; each is for one service only."""
    recipes = [load_recipe(layout, service) for service in installed_services(layout)]
    return {layout.site.name, *(config.file for recipe in recipes for config in recipe.configs)}


def _paths(layout: Layout, recipe: Recipe) -> set[str]:
    """Return the paths below the hidden folders that the configuration of a service names."""
    found = {path for value in _values(layout, recipe) for path in _NAMED.findall(value)}
    return {path.rstrip("/") for path in found if ".." not in PurePosixPath(path).parts}


def _values(layout: Layout, recipe: Recipe) -> Iterator[str]:
    """Yield every text in the configuration of a service: values of TOML, else whole lines."""
    for config in recipe.configs:
        text = text_if_any(layout.etc / config.file)
        try:
            yield from _texts(parse_table(text))
        except NotTomlError:
            yield from (line for line in lines_of(text) if not line.lstrip().startswith(("#", ";")))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for below in value.values():
            yield from _texts(below)
    elif isinstance(value, list):
        for below in value:
            yield from _texts(below)


def _shows(layout: Layout, path: str) -> str:
    """Return the setting that shows a file, or a folder in which the service may write."""
    is_folder = layout.place(path).is_dir()
    return f"{'BindPaths' if is_folder else 'BindReadOnlyPaths'}=-{path}"
