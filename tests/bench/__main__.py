"""Builds the manager from a warm download cache and prints what each phase cost.

Everything is measured in one run on one machine, beside the floor: tar and
``zstd -T2 -3`` of the same tree. Ratios travel between machines, seconds do not.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from builder.base.cache import Cache
from builder.base.paths import cache_root
from tests.bench.measure import Measure, measure

_PACKAGE = "backendai-manager"
# A compiled CPython is warm: it changes with the release, not with a build.
_CPYTHON = ("derived/cpython", "derived/runtime")
_PHASES = ("fetch", "install", "bytecode", "split", "stage", "deb", "rpm")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the result; memory is the whole process tree's."""

    name: str
    seconds: float
    peak: int
    note: str = ""


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…")
    parser.add_argument("--no-network", action="store_true", help="leave out resolve and fetch")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="bench-") as work:
        rows = list(_bench(Path(work), network=not options.no_network))
    if options.json:
        json.dump([row.__dict__ for row in rows], sys.stdout, indent=2)
    else:
        _print(rows)


def _bench(work: Path, *, network: bool) -> Iterator[Row]:
    # Once into the user's own cache: what is measured then starts from warm downloads.
    _builder("build", _PACKAGE, "--out", str(work / "warm"))
    cold = _cache_with(work / "cold", "blobs", *_CPYTHON)
    if network:
        yield _row("resolve (warm index cache)", _python("tests.bench.resolve"))
        yield from _phases(work, _cache_with(work / "empty", *_CPYTHON), ("fetch",))
    rows, whole = _build(work, cold)
    yield from rows
    yield _row("deb + rpm, all phases", whole)
    yield _row(
        "unchanged rebuild", _builder("build", _PACKAGE, "--out", str(work / "out"), cache=cold)
    )
    tree = _stage_root(cold)
    yield _row("dpkg-deb -Zzstd -z3", _dpkg_deb(tree, work))
    yield _row("floor: tar | zstd -T2 -3", _floor(tree, work))
    yield _row("by hand: pip install of the same wheels", _pip(cold, work))


def _cache_with(root: Path, *parts: str) -> Path:
    """A cache that shares some parts of the user's own, by hard links."""
    for part in parts:
        source = cache_root() / part
        if not source.is_dir():
            continue  # a standalone build has no compiled one beside it
        shutil.copytree(source, root / part, copy_function=_link, symlinks=True)
    return root


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def _builder(*arguments: str, cache: Path | None = None, **environment: str) -> Measure:
    given = {**environment, **({"BUILDER_CACHE": str(cache)} if cache else {})}
    return measure([sys.executable, "-m", "builder", "-q", *arguments], given)


def _python(module: str) -> Measure:
    return measure([sys.executable, "-m", module])


def _phases(work: Path, cache: Path, wanted: tuple[str, ...]) -> list[Row]:
    rows, _ = _build(work, cache)
    return [row for row in rows if row.name in wanted]


def _build(work: Path, cache: Path) -> tuple[list[Row], Measure]:
    timings = work / f"{cache.name}.timings"
    out = str(work / "out")
    whole = _builder("build", _PACKAGE, "--out", out, cache=cache, BUILDER_TIMINGS=str(timings))
    found = [json.loads(line) for line in timings.read_text(encoding="utf-8").splitlines()]
    rows = [
        Row(
            name=phase["phase"],
            seconds=phase["end"] - phase["begin"],
            peak=whole.peak(phase["begin"], phase["end"]),
        )
        for phase in found
        if phase["phase"] in _PHASES
    ]
    return rows, whole


def _row(name: str, run: Measure) -> Row:
    return Row(name=name, seconds=run.seconds, peak=run.peak())


def _stage_root(cache: Path) -> Path:
    roots = [path.parent for path in (cache / "derived/stage").glob("*/root/opt")]
    return max(roots, key=lambda path: path.stat().st_mtime)


def _floor(tree: Path, work: Path) -> Measure:
    script = 'tar -C "$0" -c . | zstd -T2 -3 -q -f -o "$1"'
    return measure(["sh", "-c", script, str(tree), str(work / "floor.tar.zst")])


def _dpkg_deb(tree: Path, work: Path) -> Measure:
    copy = work / "deb"
    shutil.copytree(tree, copy, copy_function=_link, symlinks=True)
    (copy / "DEBIAN").mkdir()
    (copy / "DEBIAN" / "control").write_text(
        "Package: bench\nVersion: 1\nArchitecture: all\nMaintainer: bench <bench@localhost>\n"
        "Description: bench\n"
    )
    target = str(work / "bench.deb")
    return measure(["dpkg-deb", "-Zzstd", "-z3", "--root-owner-group", "-b", str(copy), target])


def _pip(cache: Path, work: Path) -> Measure:
    """What the guide has people do, from wheels that are here already."""
    info = next((cache / "derived/stage").glob(f"*/root/usr/share/doc/{_PACKAGE}/build-info.json"))
    wheels = json.loads(info.read_text(encoding="utf-8"))["wheels"]
    links = work / "links"
    links.mkdir()
    store = Cache(root=cache)
    for wheel in wheels:
        built = next((cache / "derived/sdist").glob(f"*/{wheel['file']}"), None)
        (links / wheel["file"]).hardlink_to(built or store.blob(wheel["sha256"]))
    python = next((cache / "derived/runtime").glob("*/tree/bin/python3"))
    command = [
        *[str(python), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"],
        *["--find-links", str(links), "--target", str(work / "pip")],
        *(f"{wheel['name']}=={wheel['version']}" for wheel in wheels),
    ]
    return measure(command, {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONDONTWRITEBYTECODE": "1"})


def _print(rows: list[Row]) -> None:
    floor = next(row.seconds for row in rows if row.name.startswith("floor"))
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("phase", no_wrap=True)
    for name in ("wall s", "of the floor", "peak MB"):
        table.add_column(name, justify="right")
    for row in rows:
        peak = f"{row.peak / 1e6:.0f}" if row.peak else "-"
        table.add_row(row.name, f"{row.seconds:.2f}", f"{row.seconds / floor:.1f} x", peak)
    Console().print(table)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {error}")
