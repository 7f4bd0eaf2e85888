"""``make bench-install``: from a clean host to the first login, by packages and by the guide.

Both in one run on one machine, by turns: a Debian 13 that has the distribution's packages in
apt's cache; the guide's side also has every wheel at hand. Prints where the time goes.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import docker
import httpx
from rich.console import Console
from rich.table import Table

from builder.base import log
from builder.base.model import PackageFormat
from builder.base.paths import PROJECT
from builder.verify.engine import connect
from builder.verify.hosts import Host, HostSetup
from tests.bench.chart import draw
from tests.bench.guide import SERVICES, write_guide
from tests.integration.apt import apt
from tests.integration.dist import Dist, find_dist, freeze
from tests.integration.guide import read_account
from tests.integration.images import Images, Suite

_PACKAGES = ("backendai-common", *(f"backendai-{service}" for service in SERVICES))
_STORES = (*Suite.TRIXIE.store_packages, "python3-venv")
_UNITS = (
    *(f"backendai-{name}" for name in ("manager", "seed", "webserver", "graphql", "storage-proxy")),
    *("postgresql@17-main", "etcd", "valkey-server"),
)
# A host's disk has no overlay, in which dpkg takes twice as long.
_ON_DISK = ("/opt", "/usr", "/var")
_WEB_PORT, _MANAGER_PORT = 8090, 8081
_TIMEOUT_S = 2400
_PAUSE_S = 0.2
_FIXTURE = {"username": "admin@lablup.com", "password": "wJalrXUt"}  # as everybody knows it
_STATE = "/var/lib/backendai/seed/state.json"
# Apt's phases, by dpkg's own log: what begins with each word lasts until the next line. The last
# trigger waits until the stores are filled, which has begun before.
_ACTIONS = {"install": "unpack", "configure": "configure", "trigproc": "seed"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One way to the first login: the seconds of its phases, and of the whole."""

    phases: Mapping[str, float]
    total: float
    processor: Mapping[str, float] = field(default_factory=dict)  # seconds of each service


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="make bench-install ARGS=…")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--dist", type=Path, default=PROJECT / "dist")
    parser.add_argument("--json", type=Path, help="write the result into this file, too")
    parser.add_argument("--docs", action="store_true", help="write page and chart into docs/")
    options = parser.parse_args()
    log.configure(0)
    with tempfile.TemporaryDirectory(prefix="bench-install-") as work:
        (Path(work) / "dist").mkdir()
        dist = freeze(find_dist(options.dist), Path(work) / "dist")
        load = os.getloadavg()[0]
        found = [
            _round(connect(), dist, Path(work) / str(number)) for number in range(options.rounds)
        ]
    result = _result(found, dist.version, load)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    if options.docs:
        write_docs(result, PROJECT / "docs/reference")
    _print(result)


def _round(engine: docker.DockerClient, dist: Dist, work: Path) -> dict[str, Run]:
    image = Images(engine).base(Suite.TRIXIE)
    host_of = partial(HostSetup, image=image, volumes=_ON_DISK)
    with Host(engine, host_of(name="packages", mounts={dist.folder: "/dist"})) as host:
        _fill_cache(host)
        packages = _by_packages(host, dist)
        log.step(f"packages: {packages.total:.1f} s")
        write_guide(work, dist.folder, host)
    with Host(engine, host_of(name="guide", mounts={work: "/guide"})) as host:
        _fill_cache(host)
        guide = _by_guide(host)
        log.step(f"guide: {guide.total:.1f} s")
    return {"packages": packages, "guide": guide}


def _fill_cache(host: Host) -> None:
    apt(host, "update")
    apt(host, "--download-only", "install", *_STORES)
    os.sync()  # else whoever comes first waits until what was copied for both is on the disk


def _by_packages(host: Host, dist: Dist) -> Run:
    wanted = ["backendai-runtime", "backendai-graphql", "backendai", *_PACKAGES]
    files = [f"/dist/{name}" for name in dist.names(PackageFormat.DEB, *dict.fromkeys(wanted))]
    begin = time.time()
    with ThreadPoolExecutor() as pool:
        installing = pool.submit(apt, host, "install", *files)
        # apt ends once every service has started; a login does not need all of them.
        is_seeded = partial(_is_seeded, host, installing)
        host.wait_until("the stores are filled", is_seeded, timeout=_TIMEOUT_S)
        seeded = float(host.run(["stat", "--format=%.Y", _STATE]).stdout)
        account = read_account(host)
        _wait_for_login(host, {"username": account["email"], "password": account["password"]})
        end = time.time()
        installing.result()
    phases = _dpkg_phases(host.read("/var/log/dpkg.log"), begin, seeded)
    phases["start"] = end - seeded
    return Run(phases=phases, total=end - begin, processor=_processor_times(host))


def _is_seeded(host: Host, installing: Future[Any]) -> bool:
    if installing.done():
        installing.result()  # or why it failed
    return host.run(["grep", "-q", '"complete": true', _STATE], check=False).status == 0


def _processor_times(host: Host) -> dict[str, float]:
    """Return what the services have used, as systemd counted it, most first."""
    found = {}
    for unit in _UNITS:
        words = ["systemctl", "show", "--property=CPUUsageNSec", "--value", f"{unit}.service"]
        count = host.run(words).stdout.strip()
        found[unit] = int(count) / 1e9 if count.isdigit() else 0.0
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def _by_guide(host: Host) -> Run:
    begin = time.time()
    printed = host.run(["sh", "/guide/guide.sh"], timeout=_TIMEOUT_S).stdout
    started = time.time()
    _wait_for_login(host, _FIXTURE)
    end = time.time()
    phases: dict[str, float] = {}
    for line in printed.splitlines():
        word, name, seconds = line.split()
        assert word == "step"
        part = name.partition("-")[0]
        phases[part] = phases.get(part, 0.0) + float(seconds)
    phases["start"] = phases.get("start", 0.0) + end - started
    return Run(phases=phases, total=end - begin)


def _dpkg_phases(text: str, begin: float, end: float) -> dict[str, float]:
    """Return the seconds of apt's phases; each line of the log begins with a second."""
    phases = {"stores": 0.0, "unpack": 0.0, "configure": 0.0, "seed": 0.0}
    last, phase = begin, "stores"
    for line in text.splitlines():
        day, hour, action, *words = line.split()
        if action not in _ACTIONS:
            continue
        at = datetime.fromisoformat(f"{day}T{hour}").replace(tzinfo=UTC).timestamp()
        if not begin - 1 <= at <= end:
            continue  # of before, or of services that a login does not need
        phases[phase] += max(at - last, 0.0)
        last = max(at, last)
        phase = _ACTIONS[action] if words[0].startswith("backendai") else "stores"
    phases[phase] += end - last
    return phases


def _wait_for_login(host: Host, account: Mapping[str, str]) -> None:
    url = f"http://{host.address}:{_WEB_PORT}/server/login"

    def is_in() -> bool:
        try:
            answer = httpx.post(url, json=dict(account), timeout=30)
            return answer.json().get("authenticated") is True
        except (httpx.HTTPError, ValueError):
            return False

    # Logins that fail for want of a manager count: after ten the webserver refuses the account.
    listens = ["bash", "-c", f": </dev/tcp/127.0.0.1/{_MANAGER_PORT}"]
    host.wait_until(
        "the manager listens",
        lambda: host.run(listens, check=False).status == 0,
        timeout=_TIMEOUT_S,
        every=_PAUSE_S,
    )
    host.wait_until("a login", is_in, timeout=_TIMEOUT_S, every=_PAUSE_S)


def _result(rounds: list[dict[str, Run]], version: str, load: float) -> dict[str, Any]:
    """Return the medians of all rounds, and each round."""
    ways = {
        way: {
            "seconds": statistics.median(found[way].total for found in rounds),
            "phases": {
                phase: statistics.median(found[way].phases[phase] for found in rounds)
                for phase in rounds[0][way].phases
            },
        }
        for way in ("packages", "guide")
    }
    return {
        "release": version,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "load_before": round(load, 1),
        "rounds": [{way: run.total for way, run in found.items()} for found in rounds],
        "ways": ways,
        "processor": {
            unit: statistics.median(found["packages"].processor[unit] for found in rounds)
            for unit in rounds[0]["packages"].processor
        },
    }


def write_docs(result: Mapping[str, Any], folder: Path) -> None:
    """Write the result, its page and its chart."""
    ways = result["ways"]
    rows = [
        (way, phase, seconds)
        for way, found in ways.items()
        for phase, seconds in [*found["phases"].items(), ("to the first login", found["seconds"])]
    ]
    lines = [
        "# What an installation costs",
        "",
        "Made by `make bench-install ARGS=--docs`; the numbers are in",
        f"[bench-install.json](bench-install.json). Release {result['release']},",
        f"{result['machine']},",
        f"load {result['load_before']} before it, {len(result['rounds'])} round(s).",
        "",
        "From a clean Debian 13, with the distribution's packages in apt's cache, to the first",
        "login: `apt install` of the packages, and a script that does the official guide's steps",
        f"for the same services ({', '.join(SERVICES)}) with every wheel at hand.",
        "",
        "![seconds of each way](bench-install.svg)",
        "",
        "| way | phase | seconds |",
        "|---|---|---:|",
        *(f"| {way} | {phase} | {seconds:.1f} |" for way, phase, seconds in rows),
        "",
        f"The guide takes {_ratio(result):.1f} times as long.",
        "",
        "Processor time of the packages' units until then, in seconds. The manager imports its",
        "modules in each of its processes. Beside these, the stores are installed,",
        "and dpkg flushes every unpacked file to the disk.",
        "",
        "| unit | seconds |",
        "|---|---:|",
        *(f"| {unit} | {seconds:.1f} |" for unit, seconds in result["processor"].items()),
        "",
    ]
    bars = [(f"{way}: {phase}", (seconds,)) for way, phase, seconds in rows]
    texts = {
        "bench-install.md": "\n".join(lines),
        "bench-install.json": json.dumps(result, indent=2) + "\n",
        "bench-install.svg": draw("To the first login", "s", bars),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _ratio(result: Mapping[str, Any]) -> float:
    ways = result["ways"]
    return float(ways["guide"]["seconds"] / ways["packages"]["seconds"])


def _print(result: Mapping[str, Any]) -> None:
    ways = result["ways"]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("way", "phase"):
        table.add_column(name, no_wrap=True)
    table.add_column("wall s", justify="right")
    for way, found in ways.items():
        for phase, seconds in found["phases"].items():
            table.add_row(way, phase, f"{seconds:.1f}")
        table.add_row(way, "to the first login", f"{found['seconds']:.1f}", style="bold")
    Console().print(table)
    sys.stdout.write(f"the guide takes {_ratio(result):.1f} x as long\n")


if __name__ == "__main__":
    main()
