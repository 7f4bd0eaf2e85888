"""Whether the wheels of a package, and of what lies below it, work together."""

import filecmp
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.base.cache import Cache, key_of
from builder.base.errors import PayloadError, ToolError
from builder.base.model import host_arch
from builder.base.run import run
from builder.base.words import name_some
from builder.index.uv import uv_environment, uv_path
from builder.runtime.model import Runtime
from builder.stage.linking import files_below
from builder.stage.payload import place_environment, reject_conflict, site_folder
from builder.wheels.install import InstalledWheel

_FORMAT = 1  # of the check; raise it when it checks more
_INIT = "__init__.py"
_LIBRARY = "lib"
_BYTECODE = "__pycache__"
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


@dataclass(frozen=True, kw_only=True)
class Places:
    """The files below a prefix that Python may import, and the folders that they are in."""

    files: Mapping[str, Path]  # path below the prefix to the file
    packages: frozenset[str]
    folders: frozenset[str]


def find_places(trees: Iterable[Path]) -> Places:
    """Return the places of all ``trees`` together."""
    files = {path: tree / path for tree in trees for path in _modules(tree)}
    return Places(files=files, packages=_packages(files), folders=_all_folders(files))


def check_shared_places(name: str, wheels: Sequence[InstalledWheel], below: Places) -> None:
    """Raise PayloadError if a wheel has a module that the packages below hide.

    Two may have a file at one place if it is the same file, and parts of one namespace
    (PEP 420); a package with an ``__init__`` is found in one place only.
    """
    problems = []
    for wheel in wheels:
        own = find_places([wheel.tree])
        # Folders of both, of which one place has the __init__ that Python stops at.
        split = (below.packages | own.packages) & below.folders & own.folders
        for path, file in own.files.items():
            if path not in below.files:
                if split.intersection(_folders(path)):
                    problems.append(f"{wheel.wheel.file}: {path}")
            elif not filecmp.cmp(file, below.files[path], shallow=False):
                reject_conflict(wheel, wheel.tree)(file)
    if problems:
        raise PayloadError(
            f"{name}: parts of a package that wheels of the runtime have, too: "
            f"{name_some(problems, _SHOWN)}",
            hint="Python finds such a package in one place only: report it to the wheels' makers",
        )


def _modules(tree: Path) -> Iterator[str]:
    paths = files_below(tree / _LIBRARY)
    return (f"{_LIBRARY}/{path}" for path in paths if f"/{_BYTECODE}/" not in path)


def _packages(paths: Iterable[str]) -> frozenset[str]:
    return frozenset(path.rpartition("/")[0] for path in paths if path.rpartition("/")[2] == _INIT)


def _folders(path: str) -> Iterator[str]:
    folder = path.rpartition("/")[0]
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]


def _all_folders(paths: Iterable[str]) -> frozenset[str]:
    return frozenset(folder for path in paths for folder in _folders(path))
