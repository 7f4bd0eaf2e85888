"""The whole family of services in one run: what it costs to build, and beside what.

Everything starts from warm downloads and a compiled CPython. Ratios travel between machines,
seconds do not: the floor is ``tar | zstd -T2 -3`` of the same trees, in the same run.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.base.cache import Cache
from builder.base.paths import cache_root
from tests.bench.measure import Measure, measure
from tests.bench.peers import peers

RUNTIME = "backendai-runtime"
SERVICES = (
    "backendai-manager",
    "backendai-agent",
    "backendai-storage-proxy",
    "backendai-webserver",
    "backendai-appproxy-coordinator",
    "backendai-appproxy-worker",
    "backendai-client",
)
FAMILY = (RUNTIME, *SERVICES)
# A compiled CPython is warm: it changes with the release, not with a build.
_CPYTHON = ("derived/cpython", "derived/runtime")
_PHASES = ("install", "bytecode", "split", "stage", "deb", "rpm")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the result; memory is the whole process tree's, 0 if it was not measured."""

    name: str
    seconds: float
    peak_bytes: int = 0
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Trees:
    """The staged trees of the family, and the wheels in them."""

    roots: dict[str, Path]  # package to the stage's root
    wheels: dict[str, list[dict[str, str]]]


def measure_family(work: Path) -> Iterator[Row]:
    """Build, build again, and do the same by other means; yields what each cost."""
    # Once into the user's own cache: what is measured then starts from warm downloads.
    _builder("build", *FAMILY, "--out", str(work / "warm"))
    cold = cache_with(work / "cold", "blobs", *_CPYTHON)
    timings = work / "timings"
    whole = _build(work, cold, timings)
    yield from _phase_rows(timings, whole)
    yield Row(
        name="family, deb and rpm, nothing derived",
        seconds=whole.seconds,
        peak_bytes=whole.peak(),
    )
    again = _build(work, cold, work / "timings-again")
    yield Row(name="family unchanged", seconds=again.seconds, peak_bytes=again.peak())
    trees = read_trees(cold)
    yield Row(name="tar | zstd -T2 -3 of the same trees", seconds=_floor(trees, work))
    yield Row(name="dpkg-deb -Zzstd -z3 of the same trees", seconds=_dpkg_deb(trees, work))
    yield Row(
        name="pip install of the same wheels, seven environments",
        seconds=_pip(trees, cold, work),
        note="one after the other, as a person would; no package is made",
    )
    for name, seconds, note in peers(trees.roots["backendai-manager"], work):
        yield Row(name=name, seconds=seconds, note=note)


def cache_with(root: Path, *parts: str) -> Path:
    """Return a cache that shares some parts of the user's own, by hard links."""
    for part in parts:
        source = cache_root() / part
        if source.is_dir():  # a standalone build has no compiled one beside it
            shutil.copytree(source, root / part, copy_function=link, symlinks=True)
    return root


def link(source: str, target: str) -> None:
    """Copy by a hard link."""
    Path(target).hardlink_to(source)


def _builder(*arguments: str, **environment: str) -> Measure:
    return measure([sys.executable, "-m", "builder", "-q", *arguments], environment)


def _build(work: Path, cache: Path, timings: Path) -> Measure:
    environment = {"BUILDER_CACHE": str(cache), "BUILDER_TIMINGS": str(timings)}
    return _builder("build", *FAMILY, "--out", str(work / "out"), **environment)


def _phase_rows(timings: Path, whole: Measure) -> Iterator[Row]:
    """Yield each kind of phase; several run at once, so their sum exceeds the whole."""
    found = [json.loads(line) for line in timings.read_text(encoding="utf-8").splitlines()]
    for name in _PHASES:
        spans = [(row["begin"], row["end"]) for row in found if row["phase"] == name]
        yield Row(
            name=name,
            seconds=sum(end - begin for begin, end in spans),
            peak_bytes=max((whole.peak(*span) for span in spans), default=0),
            note=f"{len(spans)} times, beside others",
        )


def read_trees(cache: Path) -> Trees:
    """Read the stages of the family."""
    roots, wheels = {}, {}
    for package in FAMILY:
        info = next((cache / "derived/stage").glob(f"*/root/usr/share/doc/{package}/*.json"))
        roots[package] = info.parents[4]
        wheels[package] = json.loads(info.read_bytes())["wheels"]
    return Trees(roots=roots, wheels=wheels)


def _floor(trees: Trees, work: Path) -> float:
    script = 'tar -C "$0" -c . | zstd -T2 -3 -q -f -o "$1"'
    target = str(work / "floor.tar.zst")
    return _sum(["sh", "-c", script, str(root), target] for root in trees.roots.values())


def _dpkg_deb(trees: Trees, work: Path) -> float:
    commands = []
    for package, root in trees.roots.items():
        copy = work / "deb" / package
        shutil.copytree(root, copy, copy_function=link, symlinks=True)
        (copy / "DEBIAN").mkdir()
        (copy / "DEBIAN" / "control").write_text(
            f"Package: {package}\nVersion: 1\nArchitecture: all\n"
            "Maintainer: bench <bench@localhost>\nDescription: bench\n"
        )
        target = str(work / f"{package}.deb")
        options = ["-Zzstd", "-z3", "--root-owner-group"]
        commands.append(["dpkg-deb", *options, "-b", str(copy), target])
    return _sum(commands)


def _sum(commands: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> float:
    return sum(measure(command).seconds for command in commands)


def _pip(trees: Trees, cache: Path, work: Path) -> float:
    """Return the seconds that pip takes for the environments, bytecode included."""
    links = work / "links"
    links.mkdir()
    store = Cache(root=cache)
    listed = {wheel["file"]: wheel for rows in trees.wheels.values() for wheel in rows}
    for wheel in listed.values():
        built = next((cache / "derived/sdist").glob(f"*/{wheel['file']}"), None)
        (links / wheel["file"]).hardlink_to(built or store.blob(wheel["sha256"]))
    python = next((cache / "derived/runtime").glob("*/tree/bin/python3"))
    environment = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}
    seconds = 0.0
    for service in SERVICES:
        wanted = [*trees.wheels[service], *trees.wheels[RUNTIME]]
        command = [
            *[str(python), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"],
            *["--find-links", os.fspath(links), "--target", str(work / "pip" / service)],
            *(f"{wheel['name']}=={wheel['version']}" for wheel in wanted),
        ]
        seconds += measure(command, environment).seconds
    return seconds
