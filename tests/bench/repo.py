"""What the commands on a repository cost that has many versions already.

``python -m tests.bench.repo`` fills repositories of several sizes with versions of a package in
both formats and publishes them, then adds one more and publishes, and counts how many of the
other packages' files were opened for that; checks, promotes, prunes and publishes again.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

from builder.base import log
from builder.base.paths import PROJECT
from builder.repo.add import AddRequest, add_packages
from builder.repo.check import check_target
from builder.repo.core import Repository, open_repository, promote_packages
from builder.repo.gpg import Gpg, private_home
from builder.repo.indexing import build_tree, publish_target
from builder.repo.model import LOCAL, POOL, PUBLIC
from builder.repo.prune import dangling_files, prune_packages
from builder.repo.sign import KeySource, Signer, open_signer
from tests.bench.apt_update import Nights, Update, measure_updates
from tests.bench.chart import draw
from tests.bench.repo_files import NAME, START, fill, write_packages
from tests.helpers.keys import export_secret, make_key
from tests.helpers.repos import write_repository

_FIRST, _ADD, _INDEX, _FOLDER = "publish first", "add", "make and sign the indexes", "to a folder"
_CHECK, _PRUNE = "check", "prune"
_STEPS = (
    *(_FIRST, _ADD, _INDEX, _FOLDER, "publish, nothing changed"),
    *(_CHECK, "promote", _PRUNE, "publish what is left"),
)
_OPENING = (_ADD, _INDEX, _FOLDER)  # steps that need open no other package
_CHANNELS = """[channels.stable]
retention = { keep = 10 }
[channels.testing]
[targets.www]
kind = "folder"
path = "www"
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What adding one package to so many versions cost, by the steps of :data:`_STEPS`."""

    versions: int
    processor_seconds: list[float]
    peak_bytes: list[int]  # resident memory of a process that does only this step
    opened: int  # files of other packages
    index_bytes: int


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.repo")
    parser.add_argument("--versions", default="100,1000,10000", help="with commas between")
    parser.add_argument("--files", type=int, default=100, help="that each package has")
    parser.add_argument("--updates", default="", help="versions of a repository that apt updates")
    parser.add_argument("--kept", default="0,14", help="states that have a patch")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--docs", action="store_true", help="write docs/reference/repo.md")
    options = parser.parse_args()
    log.configure(-1)
    updates: list[Update] = []
    with tempfile.TemporaryDirectory(prefix="bench-repo-") as text, _signer() as signer:
        folder = Path(text)
        rows = [
            _measure(folder / f"{n}", n, options.files, signer) for n in _numbers(options.versions)
        ]
        for versions in _numbers(options.updates):
            for kept in _numbers(options.kept):
                nights = Nights(versions=versions, kept=kept)
                updates += measure_updates(folder / f"{versions}-{kept}", signer, nights)
    page = write_page(rows, updates, options.files)
    if options.json:
        json.dump([*map(asdict, rows), *map(asdict, updates)], sys.stdout, indent=2)
    elif options.docs:
        (PROJECT / "docs/reference/repo.md").write_text(page, encoding="utf-8")
        chart = PROJECT / "docs/reference/repo-memory.svg"
        chart.write_text(draw_memory(rows), encoding="utf-8")
    else:
        sys.stdout.write(page)


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


@contextmanager
def _signer() -> Iterator[Signer]:
    with private_home() as home:
        gpg = Gpg(home)
        fingerprint = make_key(gpg, "Bench <bench@localhost>")
        source = KeySource(key=export_secret(gpg, [fingerprint]))
        with open_signer([fingerprint], source, datetime.now(UTC)) as signer:
            yield signer


def _measure(root: Path, count: int, files: int, signer: Signer) -> Row:
    write_repository(root, *signer.fingerprints, channels=_CHANNELS)
    fresh = write_packages(root / "dist", "2.0.0", files)
    with _not_waiting_for_disks():
        _in_child(root, lambda repository: fill(repository, count, files))
        found = {_FIRST: _in_child(root, lambda repository: _publish(repository, signer, START))}
    index_bytes = 0
    for name, work in _later_steps(signer, fresh):
        found[name] = _in_child(root, work, own={path.name for path in fresh})
        if name == _INDEX:
            index_bytes = _index_bytes(root / PUBLIC)
    return Row(
        versions=count,
        processor_seconds=[found[name].seconds for name in _STEPS],
        peak_bytes=[found[name].peak for name in _STEPS],
        opened=sum(found[name].opened for name in _OPENING),
        index_bytes=index_bytes,
    )


_Work = Callable[[Repository], object]


def _later_steps(signer: Signer, fresh: Sequence[Path]) -> Iterator[tuple[str, _Work]]:
    later = START + timedelta(hours=1)
    request = AddRequest(
        channel="stable", component="main", signer=None, by_manifest=False, now=later
    )
    work: list[_Work] = [
        lambda repository: add_packages(repository, fresh, request),
        lambda repository: build_tree(repository, signer, later),
        lambda repository: publish_target(repository, "www", later),
        lambda repository: build_tree(repository, signer, later),
        lambda repository: _check(repository, later),
        lambda repository: promote_packages(repository, [NAME], "stable", "testing"),
        lambda repository: _prune(repository, later),
        lambda repository: _publish(repository, signer, later + timedelta(hours=1)),
    ]
    yield from zip(_STEPS[1:], work, strict=True)


def _publish(repository: Repository, signer: Signer, now: datetime) -> None:
    build_tree(repository, signer, now)
    publish_target(repository, "www", now)


def _check(repository: Repository, now: datetime) -> None:
    problems = check_target(repository, LOCAL, now)
    assert not problems, problems[:3]


def _prune(repository: Repository, now: datetime) -> None:
    """Prune, and read what went, as the command prints it."""
    pruned = prune_packages(repository, now)
    assert not dangling_files(repository)
    for packages in (*pruned.left.values(), pruned.removed):
        deque(packages, maxlen=0)


@dataclass(frozen=True, kw_only=True)
class _Step:
    seconds: float
    peak: int
    opened: int  # files of packages that are not its own


def _in_child(root: Path, work: _Work, *, own: Collection[str] = ()) -> _Step:
    """Do one step in a process of its own, which begins without what others left in memory."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        with open(reader, encoding="utf-8") as answer:  # noqa: PTH123 - a descriptor
            text = answer.read()
        os.waitpid(child, 0)
        return _Step(**json.loads(text))
    try:
        watch = _Watch(folder=f"{root / PUBLIC / POOL}/", own=own)
        with open_repository(root) as repository, _watched(watch):
            seconds = _seconds(lambda: work(repository))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        step = _Step(seconds=seconds, peak=peak, opened=watch.count)
        os.write(writer, json.dumps(asdict(step)).encode())
    except BaseException:  # nothing of this copy may go on
        traceback.print_exc()
    os._exit(0)


@contextmanager
def _not_waiting_for_disks() -> Iterator[None]:
    """Let the system write what is not measured when it likes."""
    with mock.patch.object(os, "fsync", _flush_nothing):
        yield


def _flush_nothing(_: int) -> None:
    """Stand for fsync(2); a mock would keep each call."""


def _seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


@dataclass(kw_only=True)
class _Watch:
    """Counts the files below a folder that are opened; their names would take memory."""

    folder: str
    own: Collection[str]  # names that do not count
    count: int = 0


_watches: list[_Watch] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _watches:
        watch, path = _watches[-1], str(arguments[0])
        if path.startswith(watch.folder) and path.rpartition("/")[2] not in watch.own:
            watch.count += 1


@contextmanager
def _watched(watch: _Watch) -> Iterator[None]:
    """Let ``watch`` count what this process opens while the block runs."""
    _watches.append(watch)
    try:
        yield
    finally:
        _watches.pop()


def _index_bytes(public: Path) -> int:
    folders = [public / name for name in ("dists", "rpm")]
    return sum(
        file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file()
    )


def write_page(rows: Sequence[Row], updates: Sequence[Update], files: int) -> str:
    """Write the page of the docs."""
    lines = [
        "# A repository of many versions",
        "",
        "Measured by `python -m tests.bench.repo --docs`. Half of the versions are debs, half",
        f"rpms, of {files} files each. They are made of the record of one real package, and in",
        "the pool lie names in place of packages. All are published for the first time, to",
        "`public/` and to a folder; then a version in both formats is added and published. At the",
        "end the tree is checked, the newest version is promoted to a second channel, the first",
        "channel is pruned to ten versions, and what is left is published. Each step is done by a",
        "process of its own.",
        "",
        "![peak memory](repo-memory.svg)",
        "",
        *_table(
            "Processor seconds of the builder", [(r.versions, r.processor_seconds) for r in rows], 2
        ),
        *_table(
            "Peak memory, in MB", [(r.versions, [p / 1e6 for p in r.peak_bytes]) for r in rows], 0
        ),
        *_growth(rows),
        "",
        "| versions | files of other packages that were opened | indexes, MB |",
        "|---:|---:|---:|",
        *(f"| {r.versions:,} | {r.opened} | {r.index_bytes / 1e6:.0f} |" for r in rows),
    ]
    if updates:
        lines += _update_lines(updates)
    return "\n".join([*lines, ""])


def _table(title: str, rows: Sequence[tuple[int, Sequence[float]]], digits: int) -> Iterator[str]:
    yield from (f"{title}:", "", f"| versions | {' | '.join(_STEPS)} |")
    yield f"|---:|{'---:|' * len(_STEPS)}"
    for versions, values in rows:
        yield f"| {versions:,} | {' | '.join(f'{value:.{digits}f}' for value in values)} |"
    yield ""


def _growth(rows: Sequence[Row]) -> Iterator[str]:
    """Say how far memory is from flat."""
    if len(rows) < 2:
        return
    first, last = rows[0], rows[-1]
    pairs = zip(last.peak_bytes, first.peak_bytes, strict=True)
    grown = max(end - begin for end, begin in pairs)
    each = grown / (last.versions - first.versions) * 1000
    yield f"From {first.versions:,} to {last.versions:,} versions the step that grows most needs"
    yield f"{grown / 1e6:.0f} MB more: {each / 1e6:.2f} MB for each 1,000 versions. No list of"
    yield "packages or of files is held: each is read when it is needed, and what is sorted lies"
    yield "in temporary databases of SQLite. In memory are the keys of the indexes' parts, one for"
    yield "about 500 debs and for 32 rpms, 12 bytes for each deb of a list and of the former list"
    yield "that a patch leads from, and the faults that a check finds."


def draw_memory(rows: Sequence[Row]) -> str:
    """Return the chart of the peaks of a first publication, and of a check."""
    shown = [_STEPS.index(name) for name in (_FIRST, _CHECK)]
    bars = [
        (f"{r.versions:,} versions: publish first, check", [r.peak_bytes[at] / 1e6 for at in shown])
        for r in rows
    ]
    return draw("Peak memory by the number of versions", "MB", bars)


def _update_lines(updates: Sequence[Update]) -> list[str]:
    behind = sorted({row.nights for row in updates})
    found = {(row.versions, row.kept, row.nights): row for row in updates}
    lines = [
        "",
        "## What `apt update` fetches",
        "",
        "By apt itself, in kB, from a repository of debs alone that gets 16 a night, by a host",
        "that is so many nights behind. *Patches* are former states from which there is one",
        "(`pdiffs` of `[apt]` in `repo.toml`).",
        "",
        f"| versions | patches | {' | '.join(f'{nights} nights' for nights in behind)} |",
        f"|---:|---:|{'---:|' * len(behind)}",
    ]
    for versions, kept in dict.fromkeys((row.versions, row.kept) for row in updates):
        cells = [f"{found[versions, kept, nights].bytes / 1e3:.0f}" for nights in behind]
        lines.append(f"| {versions:,} | {kept} | {' | '.join(cells)} |")
    return lines


sys.addaudithook(_audit)  # it cannot be removed, so it only counts while asked to

if __name__ == "__main__":
    main()
