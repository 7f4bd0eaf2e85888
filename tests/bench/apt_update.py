"""What ``apt update`` fetches from a repository that is published every night, by apt itself.

Nights add one version of each package of the family. A host updates each night, or after some;
an HTTP server on loopback counts the bytes of the bodies that it sends.
"""

import functools
import hashlib
import http.server
import socketserver
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from builder.base.run import find_tool, run
from builder.repo.core import Repository, open_repository
from builder.repo.deb_package import read_deb_package
from builder.repo.indexing import build_tree
from builder.repo.model import KEYS, DebRecord, ParsedPackage
from builder.repo.sign import Signer
from tests.bench.repo_files import OLD, take_in, write_packages
from tests.helpers.repos import write_repository

_FAMILY = 16  # debs of a night


@dataclass(frozen=True, kw_only=True)
class Update:
    """What hosts fetched that were some nights behind."""

    versions: int
    kept: int  # states that have a patch
    nights: int
    bytes: int
    requests: int


class _Counter(http.server.SimpleHTTPRequestHandler):
    server: Any

    def log_message(self, *_: object) -> None:
        """Be silent."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        data = source.read()
        self.server.sent.append((self.path, len(data)))
        outputfile.write(data)


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Counter, directory=str(folder)))
        self.sent: list[tuple[str, int]] = []


@contextmanager
def serving(folder: Path) -> Iterator[_Server]:
    """Serve a folder on a loopback port."""
    with _Server(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def apt_update(host: Path, server: _Server, repository: Repository) -> tuple[int, int]:
    """Update a host's lists by apt; returns the bytes and the requests that this took."""
    for name in ("lists/partial", "cache/archives/partial"):
        (host / name).mkdir(parents=True, exist_ok=True)
    key = repository.public / KEYS / f"{repository.config.name}.gpg"
    (host / "sources.list").write_text(
        f"deb [arch=amd64 signed-by={key}] http://127.0.0.1:{server.server_port} stable main\n"
    )
    settings = {
        "Dir::State": host,
        "Dir::State::lists": host / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": host / "cache",
        "Dir::Etc::sourcelist": host / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::http::Proxy": "false",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    server.sent.clear()
    tool = find_tool("apt-get", hint="this is measured on Debian")
    run((tool, *options, "-o", "APT::Update::Error-Mode=any", "update"))
    return sum(size for _, size in server.sent), len(server.sent)


@dataclass(frozen=True, kw_only=True)
class Nights:
    """A repository that is published every night, and how many nights hosts are behind."""

    versions: int
    kept: int
    behind: Sequence[int] = (1, 7, 14)


def measure_updates(root: Path, signer: Signer, nights: Nights) -> Iterator[Update]:
    """Publish night after night, and yield what hosts fetch that are so many nights behind."""
    text = f"[channels.stable]\n[apt]\ncontents = false\npdiffs = {nights.kept}\n"
    write_repository(root, *signer.fingerprints, channels=text)
    reading = read_deb_package(write_packages(root / "model", OLD, files=1)[0])
    now, last = datetime.now(UTC).replace(microsecond=0), max(nights.behind)
    first = nights.versions // _FAMILY
    with open_repository(root) as repository, serving(root / "public") as server:
        with repository.state.transaction():
            for night in range(first):
                _add_night(repository, reading, night)
        for night in range(last + 1):
            # Without patches it does not matter what was published between.
            if nights.kept or last - night in (0, *nights.behind):
                build_tree(repository, signer, now - timedelta(days=last - night))
            if last - night in nights.behind:
                apt_update(root / f"host-{last - night}", server, repository)
                time.sleep(1.1)  # the server dates files by the second: the next state is newer
            if night < last:
                _add_night(repository, reading, first + night)
        for late in nights.behind:
            size, requests = apt_update(root / f"host-{late}", server, repository)
            yield Update(
                versions=nights.versions,
                kept=nights.kept,
                nights=late,
                bytes=size,
                requests=requests,
            )


def _add_night(repository: Repository, reading: ParsedPackage, night: int) -> None:
    """Add a version of each package of a family."""
    version = f"1.{night // 1000}.{night % 1000}"
    assert isinstance(reading.record, DebRecord)
    for number in range(_FAMILY):
        name = f"backendai-{number:02}"
        # Hashes of dependencies and the like make real paragraphs less alike than these.
        more = hashlib.sha256(f"{name}{version}".encode()).hexdigest()
        control = f"{reading.record.control.replace(reading.name, name)}X-Build: {more}\n"
        own = replace(reading, name=name, record=DebRecord(control=control))
        take_in(repository, Path(f"{name}_{OLD}-1_amd64.deb"), own, version)
