"""Whether the wheels of a package, and of what lies below it, work together."""

import filecmp
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.base.cache import Cache, key_of
from builder.base.errors import PayloadError, ToolError
from builder.base.model import host_arch
from builder.base.run import run
from builder.index.uv import uv_environment, uv_path
from builder.runtime.model import Runtime
from builder.stage.payload import place_environment, reject_conflict, site_folder
from builder.wheels.install import InstalledWheel

_FORMAT = 1  # of the check; raise it when it checks more
_INIT = "__init__.py"
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The distributions that one Python sees at once."""

    name: str  # of the package
    pins: Sequence[str]  # identify them all
    wheels: Callable[[], Sequence[InstalledWheel]]  # installs what the cache lacks


def check_requirements(fit: Fit, runtime: Runtime, cache: Cache) -> None:
    """Check that every requirement of every wheel is met, as ``pip check`` would inside.

    These wheels are checked once; a wheel of the runtime may change without the packages
    upon it. Only for a CPython that runs on this host. Raises PayloadError.
    """
    if runtime.tree is None or runtime.arch is not host_arch():
        return
    key = key_of("fit", _FORMAT, runtime.minor, sorted(fit.pins))
    cache.derive("fit", key, lambda folder: _check(fit, runtime, folder, cache))


def _check(fit: Fit, runtime: Runtime, folder: Path, cache: Cache) -> None:
    """Ask uv about an environment that has only the metadata of the wheels."""
    wheels = fit.wheels()
    with cache.workspace() as work:
        place_environment(runtime.minor, work, PurePosixPath(runtime.python.parents[1]))
        site = work / site_folder(runtime.minor)
        site.mkdir(parents=True)
        for wheel in wheels:
            info = PurePosixPath(wheel.record).parent
            (site / info.name).symlink_to(wheel.tree / info)
        command = [str(uv_path()), "pip", "check", "--quiet", "--no-config"]
        environment = {**uv_environment(cache), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            run([*command, "--python", str(work / "bin" / "python3")], env=environment)
        except ToolError as error:
            raise PayloadError(
                f"{fit.name}: the locked wheels do not fit together:\n{error.message}",
                hint="run 'builder lock'",
            ) from error
    (folder / "wheels").write_text(f"{len(wheels)}\n", encoding="utf-8")


def check_shared_places(
    name: str,
    wheels: Sequence[InstalledWheel],
    beside: Sequence[InstalledWheel],
    runtime: Runtime,
) -> None:
    """Raise PayloadError if a wheel has a module that a wheel of the packages below hides.

    Two wheels may have a file at one place if it is the same file, and parts of one namespace
    (PEP 420); a package with an ``__init__`` is found in one place only.
    """
    trees = [wheel.tree for wheel in beside] + ([runtime.tree] if runtime.tree else [])
    places = {path: tree / path for tree in trees for path in _files(tree)}
    packages, folders = _packages(places), _all_folders(places)
    problems = []
    for wheel in wheels:
        paths = list(_files(wheel.tree))
        own = _packages(paths)
        # Folders of both, of which one place has the __init__ that Python stops at.
        split = (packages | own) & folders & _all_folders(paths)
        for path in paths:
            if path not in places:
                if split.intersection(_folders(path)):
                    problems.append(f"{wheel.wheel.file}: {path}")
            elif not filecmp.cmp(wheel.tree / path, places[path], shallow=False):
                reject_conflict(wheel, wheel.tree)(wheel.tree / path)
    if problems:
        rest = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise PayloadError(
            f"{name}: parts of a package that wheels of the runtime have, too: "
            f"{', '.join(problems[:_SHOWN])}{rest}",
            hint="Python finds such a package in one place only: report it to the wheels' makers",
        )


def _files(tree: Path) -> Iterator[str]:
    """Yield the files of a wheel that are imported, as paths below the prefix."""
    top = os.fspath(tree)
    for folder, folders, names in os.walk(f"{top}/lib"):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            yield os.path.relpath(f"{folder}/{name}", top)


def _packages(paths: Iterable[str]) -> set[str]:
    return {path.rpartition("/")[0] for path in paths if path.rpartition("/")[2] == _INIT}


def _folders(path: str) -> Iterator[str]:
    folder = path.rpartition("/")[0]
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]


def _all_folders(paths: Iterable[str]) -> set[str]:
    return {folder for path in paths for folder in _folders(path)}
