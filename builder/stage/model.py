"""A stage, and its inputs."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from builder.base.cache import key_of
from builder.base.files import hash_file
from builder.base.model import Arch
from builder.plan import PackagePlan, plan_fingerprint
from builder.runtime.model import Runtime, runtime_info
from builder.spec.schema import LibrarySpec
from builder.stage.bytecode_archive import LOADER
from builder.stage.fit import Places
from builder.stage.libraries import Needs
from builder.stage.shared_scripts import SharedScripts
from builder.wheels.install import InstalledWheel
from builder.wheels.model import WheelFile

# Of a stage; raise it when stages are made differently, and with it the revisions of all releases.
FORMAT = 10
ROOT = "root"
REPORT = "report.json"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A finished stage; ``root`` is read-only to its users."""

    key: str
    root: Path  # beside it lies the inventory; both are there once the whole stage was found
    paths: Sequence[str] = ()  # of an add-on's files
    files: int
    size: int  # bytes
    needs: Needs
    inputs: Mapping[str, object]  # as in build-info.json


@dataclass(frozen=True, kw_only=True)
class StageFiles:
    """The downloads for a stage; its plan pins them."""

    wheels: Sequence[WheelFile] = ()
    samples: Mapping[str, Path] = field(default_factory=dict)  # distribution name to its wheel
    made: Mapping[PurePosixPath, Path] = field(default_factory=dict)  # by target


@dataclass(frozen=True, kw_only=True)
class Base:
    """The runtime's wheels, for the packages upon it."""

    scripts: SharedScripts
    wheels: Callable[[], Sequence[InstalledWheel]]  # installs what the cache lacks
    places: Callable[[], Places]  # of these wheels and of CPython


@dataclass(frozen=True, kw_only=True)
class StageInput:
    """The inputs of a stage, beside the plan and the files that the plan pins."""

    arch: Arch
    runtime: Runtime | None
    epoch: int  # mtime of every file
    libraries: Mapping[str, LibrarySpec]
    jobs: int
    host: Stage | None = None  # of an add-on: the stage of its host
    base: Base | None = None  # the runtime below a service or an add-on
    made_of: Sequence[str] = ()  # identifies what the build makes for the payload
    runtime_package: str = ""  # the name of the package that has the runtime


def stage_key(plan: PackagePlan, given: StageInput) -> str:
    """Return the key of the stage: a hash of its content, not of its origin.

    What is in the runtime's package does not change a service's: a fixed CPython, or another
    version of a shared wheel, is one package to build, to fetch and to install.
    """
    return key_of(
        FORMAT,
        plan_fingerprint(plan),
        given.arch.value,
        stage_runtime(plan, given.runtime),
        hash_file(LOADER) if plan.python and plan.python.base is None else None,
        given.base.scripts.digest if given.base and not given.host else None,
        given.epoch,
        {soname: library.model_dump() for soname, library in given.libraries.items()},
        *([given.host.key, "with paths"] if given.host else []),
        *([list(given.made_of)] if given.made_of else []),
    )


def stage_runtime(plan: PackagePlan, runtime: Runtime | None) -> dict[str, object] | None:
    """Return what the package's content and record depend on of its CPython."""
    if runtime is None or plan.python is None:
        return None
    if plan.python.base is None:
        return {**(runtime_info(runtime) or {}), "key": runtime.key}
    return {"python": runtime.minor, "bundled": runtime.tree is not None}


def load_stage(folder: Path, place: Path, key: str) -> Stage:
    """Load a stage by the report in ``folder``; ``place`` is where the whole stage lies."""
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    needs = report["needs"]
    return Stage(
        key=key,
        root=place / ROOT,
        paths=report.get("paths", ()),
        files=report["files"],
        size=report["size"],
        needs=Needs(glibc=needs["glibc"], deb=tuple(needs["deb"]), rpm=tuple(needs["rpm"])),
        inputs=report["inputs"],
    )
