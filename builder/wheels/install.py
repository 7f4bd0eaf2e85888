"""Installs wheels by uv, compiles them, and keeps each by itself in the cache.

All wheels absent from the cache are installed together into a scratch environment and
byte-compiled in one go; then the files in each wheel's RECORD become a tree of their
own. Stages are assembled from these trees by hard links, so another package, format
or release that has the same wheel pays nothing.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from builder.base import log
from builder.base.bytecode import compile_tree
from builder.base.cache import Cache, key_of
from builder.base.elf import scan_tree
from builder.base.elf_info import ElfInfo
from builder.base.errors import PayloadError, ToolError
from builder.base.run import run
from builder.base.timing import phase
from builder.index.uv import Target, uv_environment, uv_path
from builder.wheels.claims import refuse_double_claims
from builder.wheels.model import WheelFile
from builder.wheels.split import Split, Splitter

_FORMAT = 3  # of the kept trees; raise it when this module makes different ones
_TREE = "tree"
_REPORT = "report.json"


@dataclass(frozen=True, kw_only=True)
class InstalledWheel:
    """One wheel, installed: ``tree`` is laid out as under the prefix."""

    wheel: WheelFile
    tree: Path
    record: str  # path of RECORD below the tree
    scripts: tuple[str, ...]  # files whose first line names the prefix by PREFIX_MARK
    elf: tuple[tuple[PurePosixPath, ElfInfo], ...]


@dataclass(frozen=True, kw_only=True)
class InstallRequest:
    """The settings for an installation of wheels."""

    target: Target
    python: Path  # of the target's minor version, and runs on this host
    epoch: int  # mtime of every file made
    jobs: int


def install_wheels(
    wheels: Sequence[WheelFile], request: InstallRequest, cache: Cache
) -> list[InstalledWheel]:
    """Return every wheel as a tree of its own; install wheels absent from the cache now."""
    keys = {wheel.file: _key(wheel, request.target) for wheel in wheels}
    if any(cache.find_derived("wheel", key) is None for key in keys.values()):
        # One build at a time: a second one that needs the same wheels finds them installed.
        with cache.locked("install"):
            missing = [
                wheel for wheel in wheels if cache.find_derived("wheel", keys[wheel.file]) is None
            ]
            if missing:
                _install_missing(missing, keys, request, cache)
    return [_load(wheel, cache.derived("wheel", keys[wheel.file])) for wheel in wheels]


def _key(wheel: WheelFile, target: Target) -> str:
    return key_of(_FORMAT, wheel.file, wheel.sha256, target.minor)


def _install_missing(
    missing: Sequence[WheelFile], keys: dict[str, str], request: InstallRequest, cache: Cache
) -> None:
    log.step(f"installing {len(missing)} wheels for {request.target.arch}")
    refuse_double_claims(missing)
    with cache.workspace() as work:
        with phase("install"):
            scratch = _install_scratch(missing, request, cache, work)
        with phase("bytecode"):
            compile_tree(request.python, scratch / "lib", jobs=request.jobs)
        with phase("split"):
            splitter = Splitter(scratch=scratch, minor=request.target.minor)
            folders = {wheel.file: work / "out" / keys[wheel.file] for wheel in missing}
            # Split all wheels before any tree is moved away: two wheels may share a file.
            splits = [splitter.split(wheel, folders[wheel.file] / _TREE) for wheel in missing]
            for split in splits:
                file = split.wheel.file
                _keep(split, folders[file], request.epoch)
                cache.adopt("wheel", keys[file], folders[file])


def _install_scratch(
    wheels: Sequence[WheelFile], request: InstallRequest, cache: Cache, work: Path
) -> Path:
    """Install all of ``wheels`` into a throw-away environment."""
    links, scratch = work / "links", work / "env"
    links.mkdir()
    for wheel in wheels:
        (links / wheel.file).hardlink_to(wheel.path)
    # A cache of its own, thrown away: files are linked out of it and then changed here.
    environment = uv_environment(cache) | {"UV_CACHE_DIR": str(work / "uv")}
    quiet = ["--quiet", "--no-config"]
    uv = str(uv_path())
    run([uv, "venv", *quiet, "--python", str(request.python), str(scratch)], env=environment)
    command = [
        *[uv, "pip", "install", *quiet, "--python", str(scratch / "bin" / "python")],
        # From a folder and by version: installing a path would leave a direct_url.json.
        *["--no-index", "--find-links", str(links), "--no-deps", "--only-binary", ":all:"],
        *["--python-platform", request.target.platform, "--link-mode", "hardlink"],
        *(wheel.pin for wheel in wheels),
    ]
    try:
        run(command, env=environment)
    except ToolError as error:
        raise PayloadError(f"the locked wheels do not install:\n{error.message}") from error
    return scratch


def _keep(split: Split, folder: Path, epoch: int) -> None:
    """Set modes and times, and write the facts that the stage needs."""
    for folder_name, _, names in os.walk(split.tree, topdown=False):
        for name in names:
            path = f"{folder_name}/{name}"
            mode = os.stat(path).st_mode  # noqa: PTH116
            wanted = 0o755 if mode & 0o111 else 0o644
            if mode & 0o7777 != wanted:
                os.chmod(path, wanted)  # noqa: PTH101
            os.utime(path, (epoch, epoch))
    report = {
        "record": split.record,
        "scripts": split.scripts,
        "elf": [[str(path), asdict(info)] for path, info in scan_tree(split.tree)],
    }
    (folder / _REPORT).write_text(json.dumps(report), encoding="utf-8")


def _load(wheel: WheelFile, folder: Path) -> InstalledWheel:
    report = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
    return InstalledWheel(
        wheel=wheel,
        tree=folder / _TREE,
        record=report["record"],
        scripts=tuple(report["scripts"]),
        elf=tuple((PurePosixPath(path), elf_from_json(info)) for path, info in report["elf"]),
    )


def elf_from_json(table: dict[str, object]) -> ElfInfo:
    """Return the ElfInfo that ``asdict`` and JSON turned into ``table``."""
    listed = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    versions = table["versions"]
    assert isinstance(versions, dict)
    listed["versions"] = {soname: tuple(names) for soname, names in versions.items()}
    return ElfInfo(**listed)  # type: ignore[arg-type]
