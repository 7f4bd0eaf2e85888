"""What a machine with an empty local cache takes, beside one with a full one, from a shared cache.

``python -m tests.bench.shared_cache`` builds the whole family for amd64 in both formats into an
empty folder: with a full local cache, and with an empty one behind which lies a folder, or nginx
on loopback. The three take turns, so that what else the machine does falls on each of them.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.base.cache import open_cache
from builder.base.paths import cache_root
from builder.base.run import find_tool
from builder.jobs.push import push_entries
from builder.net.remote_cache import open_remote_cache
from tests.helpers.ports import free_port

_NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; {user}
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off; sendfile on; tcp_nopush on; client_max_body_size 0;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {store}; }}
}}
"""
_FULL, _FOLDER, _HTTP = "full local cache", "empty, a folder", "empty, HTTP over loopback"
_CACHE = "BUILDER_REMOTE_CACHE"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One build: seconds of the clock, and of the builder's processor time."""

    wall: float
    processor: float


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.shared_cache")
    parser.add_argument("--keep", type=Path, help="a folder for the shared cache, to use it again")
    parser.add_argument("--runs", type=int, default=3, help="of each case")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=cache_root(), prefix="bench-") as text:
        runs = measure(Path(text), options.runs, options.keep)
    sys.stdout.write("\n".join(table(runs)) + "\n")


def measure(work: Path, count: int, store: Path | None = None) -> dict[str, list[Run]]:
    """Build the family once to fill the caches, then ``count`` times in each way."""
    store = store or work / "store"
    key = work / "key"
    key.write_text("k" * 64)
    key.chmod(0o600)
    shared = {f"{_CACHE}_KEY": str(key), f"{_CACHE}_MODE": "read"}
    if not store.is_dir():
        store.mkdir()
        _fill({f"{_CACHE}_KEY": str(key), _CACHE: str(store)}, work / "out")
    found: dict[str, list[Run]] = {_FULL: [], _FOLDER: [], _HTTP: []}
    full = cache_root()  # one that was filled from a store has no trees
    _build(work, full, {})
    with _serving(store, work) as url:
        places = {_FOLDER: {_CACHE: str(store)}, _HTTP: {_CACHE: url}}
        for _ in range(count):
            found[_FULL].append(_build(work, full, {}))
            for name, place in places.items():
                cache = work / "empty"
                found[name].append(_build(work, cache, shared | place))
                shutil.rmtree(cache)
    return found


def _fill(environment: Mapping[str, str], out: Path) -> None:
    """Build from the user's own cache, and give the store what that took."""
    begun = time.time()
    _builder(["build", "--out", str(out)], {})
    remote = open_remote_cache(offline=False, environment=environment)
    assert remote is not None
    push_entries(open_cache(cache_root(), remote), remote, since=begun)


def _build(work: Path, cache: Path, environment: Mapping[str, str]) -> Run:
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    return _builder(["build", "--out", str(out)], {"BUILDER_CACHE": str(cache), **environment})


def _builder(arguments: Sequence[str], environment: Mapping[str, str]) -> Run:
    command = [sys.executable, "-m", "builder", "-q", *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_CACHE)}
    begun = time.monotonic()
    process = subprocess.Popen(command, env={**kept, **environment}, stdout=subprocess.DEVNULL)  # noqa: TID251  # measured from outside
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(wall=wall, processor=used.ru_utime + used.ru_stime)


@contextmanager
def _serving(store: Path, work: Path) -> Iterator[str]:
    folder, port = work / "nginx", free_port()
    folder.mkdir()
    settings = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # its own account may not read the cache
    settings.write_text(_NGINX.format(folder=folder, port=port, store=store, user=user))
    nginx = find_tool("nginx", hint="apt install nginx-light")
    process = subprocess.Popen([nginx, "-e", folder / "error.log", "-c", settings])  # noqa: TID251  # a server beside
    try:
        time.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def table(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """Return the medians, and how many times the first row they are."""
    lines = [
        "| local cache, and what lies behind it | seconds | times | processor seconds | times |",
        "|---|---:|---:|---:|---:|",
    ]
    first: Run | None = None
    for name, some in runs.items():
        middle = Run(
            wall=statistics.median(run.wall for run in some),
            processor=statistics.median(run.processor for run in some),
        )
        first = first or middle
        wall = f"{middle.wall:.2f} | {middle.wall / first.wall:.2f}"
        processor = f"{middle.processor:.2f} | {middle.processor / first.processor:.2f}"
        lines.append(f"| {name} | {wall} | {processor} |")
    return lines


if __name__ == "__main__":
    main()
