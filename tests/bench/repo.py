"""What it costs to add one package to a repository that has many versions already.

``python -m tests.bench.repo`` fills repositories of several sizes with versions of a
package in both formats, then adds one more and publishes, and counts how many of the other
packages' files were opened for that.
"""

import argparse
import hashlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from builder.base import log
from builder.repo.add import AddRequest, add_packages
from builder.repo.core import Repository, open_repository
from builder.repo.deb_package import read_deb_package
from builder.repo.gpg import Gpg, private_home
from builder.repo.indexing import build_tree, publish_target
from builder.repo.model import POOL, IndexRecord, ParsedPackage, RepoPackage, pool_path
from builder.repo.repodata import read_rpm_package
from builder.repo.sign import KeySource, Signer, open_signer
from tests.helpers.keys import export_secret, make_key
from tests.helpers.package_files import DebFile, Payload, RpmFile
from tests.helpers.repos import write_repository

_START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_NAME = "backendai-manager"
_OLD = "1.0.0"  # a version as long as those that are made from it
_FILE_DIGESTS = 1035
_TARGETS = '[targets.www]\nkind = "folder"\npath = "www"\n'
_WIDTH = 5


@dataclass(frozen=True, kw_only=True)
class Row:
    """What adding one package to so many versions cost."""

    versions: int
    add: float
    tree: float
    publish: float
    again: float  # publishing when nothing changed
    opened: int  # files of other packages
    index_bytes: int
    peak: int  # of the process so far


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.repo")
    parser.add_argument("--versions", default="100,1000,10000", help="with commas between")
    parser.add_argument("--files", type=int, default=100, help="that each package has")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    log.configure(-1)
    counts = [int(word) for word in options.versions.split(",")]
    with tempfile.TemporaryDirectory(prefix="bench-repo-") as folder, _signer() as signer:
        rows = [_measure(Path(folder) / str(n), n, options.files, signer) for n in counts]
    if options.json:
        json.dump([row.__dict__ for row in rows], sys.stdout, indent=2)
    else:
        _print(rows)


@contextmanager
def _signer() -> Iterator[Signer]:
    with private_home() as home:
        gpg = Gpg(home)
        fingerprint = make_key(gpg, "Bench <bench@localhost>")
        source = KeySource(key=export_secret(gpg, [fingerprint]))
        with open_signer([fingerprint], source, datetime.now(UTC)) as signer:
            yield signer


def _measure(root: Path, count: int, files: int, signer: Signer) -> Row:
    write_repository(root, *signer.fingerprints, channels=f"[channels.stable]\n{_TARGETS}")
    with open_repository(root) as repository:
        _fill(repository, count, files)
        build_tree(repository, signer, _START)
        publish_target(repository, "www", _START)
        fresh = _write_packages(root / "dist", "2.0.0", files)
        mine = {path.name for path in fresh}
        later = _START + timedelta(hours=1)
        request = AddRequest(
            channel="stable", component="main", signer=None, by_manifest=False, now=later
        )
        with _opened(repository.public / POOL) as opened:
            add = _seconds(lambda: add_packages(repository, fresh, request))
            tree = _seconds(lambda: build_tree(repository, signer, later))
            publish = _seconds(lambda: publish_target(repository, "www", later))
        others = [path for path in opened if Path(path).name not in mine]
        return Row(
            versions=count,
            add=add,
            tree=tree,
            publish=publish,
            again=_seconds(lambda: build_tree(repository, signer, later)),
            opened=len(others),
            index_bytes=_index_bytes(repository),
            peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


_watched: list[tuple[str, list[str]]] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _watched:
        folder, opened = _watched[-1]
        if str(arguments[0]).startswith(folder):
            opened.append(str(arguments[0]))


@contextmanager
def _opened(folder: Path) -> Iterator[list[str]]:
    """The files below ``folder`` that this process opens while the block runs."""
    opened: list[str] = []
    _watched.append((f"{folder}/", opened))
    try:
        yield opened
    finally:
        _watched.pop()


def _fill(repository: Repository, count: int, files: int) -> None:
    """Take in ``count`` versions, half of each format, as ``add`` would have."""
    made = _write_packages(repository.root / "model", _OLD, files)
    readings = [(path, read(path)) for path, read in zip(made, _READERS, strict=True)]
    with repository.state.transaction():
        for number in range(count // 2):
            version = f"1.{number // 1000}.{number % 1000}"
            for path, reading in readings:
                _take_in(repository, path, reading, version)


_READERS: tuple[Callable[[Path], ParsedPackage], ...] = (read_deb_package, read_rpm_package)


def _take_in(repository: Repository, path: Path, reading: ParsedPackage, version: str) -> None:
    file = path.name.replace(_OLD, version)
    content = file.encode()
    sha256 = hashlib.sha256(content).hexdigest()
    identity = replace(reading.identity, version=reading.version.replace(_OLD, version))
    package = RepoPackage(
        name=reading.name,
        version=reading.version.replace(_OLD, version),
        arch=reading.arch,
        component="main",
        file=file,
        pool=pool_path("main", identity),
        sha256=sha256,
        size=len(content),
        added=_START,
        record=_of_version(reading.record, version),
    )
    place = repository.public / package.pool
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    repository.state.add(package, reading.listing.replace(_OLD.encode(), version.encode()), sha256)
    repository.state.join("stable", [sha256])


def _of_version(record: IndexRecord, version: str) -> IndexRecord:
    texts = {name: text.replace(_OLD, version) for name, text in asdict(record).items()}
    return type(record)(**texts)


def _write_packages(folder: Path, version: str, files: int) -> list[Path]:
    """A deb and an rpm with so many files, named as those of a wheel."""
    folder.mkdir(parents=True)
    base = f"/opt/backendai/manager/lib/python3.13/site-packages/package-{version}"
    payload = [
        Payload(path=f"{base}/sub{number % 17:02}/module_{number:{_WIDTH}}.py".replace(" ", "0"))
        for number in range(files)
    ]
    control = (
        f"Package: {_NAME}\nVersion: {version}-1\nArchitecture: amd64\n"
        "Maintainer: T <t@localhost>\nDescription: a service\n"
    )
    deb = folder / f"{_NAME}_{version}-1_amd64.deb"
    deb.write_bytes(DebFile(control=control, payload=payload).build())
    made = RpmFile(name=_NAME, version=version, payload=payload)
    made = replace(made, extra={_FILE_DIGESTS: (8, ["0" * 64] * files)})
    rpm = folder / f"{_NAME}-{version}-1.x86_64.rpm"
    rpm.write_bytes(made.build())
    return [deb, rpm]


def _index_bytes(repository: Repository) -> int:
    folders = [repository.public / name for name in ("dists", "rpm")]
    return sum(
        file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file()
    )


def _print(rows: list[Row]) -> None:
    table = Table(
        title="seconds to add one package, by versions present",
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    headings = ("versions", "add", "tree", "publish", "no change", "others read")
    for name in (*headings, "index MB", "peak MB"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        times = (f"{value:.2f}" for value in (row.add, row.tree, row.publish, row.again))
        sizes = (f"{value / 1e6:.0f}" for value in (row.index_bytes, row.peak))
        table.add_row(str(row.versions), *times, str(row.opened), *sizes)
    Console().print(table)


sys.addaudithook(_audit)  # it cannot be removed, so it only counts while asked to

if __name__ == "__main__":
    main()
