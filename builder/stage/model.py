"""A stage, and its inputs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from builder.base.cache import key_of
from builder.base.model import Arch
from builder.plan import PackagePlan, plan_fingerprint
from builder.runtime.model import Runtime, runtime_info
from builder.spec.schema import LibrarySpec
from builder.stage.libraries import Needs
from builder.wheels.model import WheelFile

FORMAT = 4  # of a stage; raise it when stages are made differently
ROOT = "root"
REPORT = "report.json"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A finished stage; ``root`` is read-only to its users."""

    key: str
    root: Path
    files: int
    size: int  # bytes
    needs: Needs
    inputs: Mapping[str, object]  # as in build-info.json


@dataclass(frozen=True, kw_only=True)
class StageFiles:
    """The downloads for a stage; its plan pins them."""

    wheels: Sequence[WheelFile] = ()
    samples: Mapping[str, Path] = field(default_factory=dict)  # distribution name to its wheel


@dataclass(frozen=True, kw_only=True)
class StageInput:
    """The inputs of a stage, beside the plan and the files that the plan pins."""

    arch: Arch
    runtime: Runtime | None
    epoch: int  # mtime of every file
    libraries: Mapping[str, LibrarySpec]
    jobs: int
    host: Stage | None = None  # of an add-on: the stage of its host


def stage_key(plan: PackagePlan, given: StageInput) -> str:
    """Return the key of the stage: a hash of its content, not of its origin."""
    return key_of(
        FORMAT,
        plan_fingerprint(plan),
        given.arch.value,
        runtime_info(given.runtime),
        given.runtime.key if given.runtime else None,
        given.epoch,
        {soname: library.model_dump() for soname, library in given.libraries.items()},
        *([given.host.key] if given.host else []),
    )


def load_stage(folder: Path, key: str) -> Stage:
    """Load the stage in a folder of the cache."""
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    needs = report["needs"]
    return Stage(
        key=key,
        root=folder / ROOT,
        files=report["files"],
        size=report["size"],
        needs=Needs(glibc=needs["glibc"], deb=tuple(needs["deb"]), rpm=tuple(needs["rpm"])),
        inputs=report["inputs"],
    )
