"""Readers that never stop while a repository is published again and again.

``python -m tests.integration.readers --reads 1000 --publications 50`` lets apt on Debian
12 and 13, dnf and zypper refresh without a pause while packages are added and published,
and reports every refresh that failed. With ``--plain`` dnf and zypper read repodata/ itself,
without the mirrorlist.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console

from builder.base import log
from builder.verify.engine import connect
from tests.integration.images import Images, Suite
from tests.integration.site import Client, Site, open_client, open_site, set_up_apt, set_up_dnf

_BATCH = 10  # refreshes in one call into the container
_TIMEOUT_S = 300
# Any failed fetch fails it; by default apt goes on with what it had.
_APT = "apt-get update -q -o APT::Update::Error-Mode=any"
_ZYPPER = "zypper --quiet --non-interactive --gpg-auto-import-keys refresh --force"
_DNF = "dnf --quiet --assumeyes --refresh makecache"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of reader: how it refreshes, and how it reports the newest version it sees."""

    name: str
    image: str
    set_up: Callable[[Client, Site], None]
    refresh: str
    newest: str


@dataclass(kw_only=True)
class Tally:
    """What one reader has done."""

    name: str
    reads: int = 0
    failures: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)  # the newest that it saw


def kinds(images: Images, *, plain: bool) -> list[Kind]:
    """The readers."""
    apt = "apt-cache policy tiny | sed -n 's/^  Candidate: //p'"
    dnf = "dnf -q -C repoquery --latest-limit=1 --qf '%{version}' tiny"
    debian = [
        Kind(name=name, image=images.base(suite), set_up=set_up_apt, refresh=_APT, newest=apt)
        for name, suite in (("apt, Debian 12", Suite.BOOKWORM), ("apt, Debian 13", Suite.TRIXIE))
    ]
    zypper = "zypper --quiet --no-refresh info tiny | sed -n 's/^Version *: //p'"
    set_up = set_up_plain_dnf if plain else set_up_dnf
    rpm = [
        Kind(name=name, image=images.rpm(), set_up=set_up, refresh=refresh, newest=newest)
        for name, refresh, newest in (("dnf", _DNF, dnf), ("zypper", _ZYPPER, zypper))
    ]
    return [*debian, *rpm]


def set_up_plain_dnf(client: Client, site: Site) -> None:
    """dnf and zypper without the mirrorlist."""
    set_up_dnf(client, site)
    change = "s|^mirrorlist=\\(.*\\)/mirrorlist$|baseurl=\\1/|"
    client.run(f"sed -i '{change}' /etc/yum.repos.d/*.repo /etc/zypp/repos.d/*.repo")


def read_until(client: Client, kind: Kind, tally: Tally, done: Callable[[], bool]) -> None:
    """Refresh in a loop; each refresh prints a line, and the last line has what it saw."""
    script = f"""
    i=0
    while [ $i -lt {_BATCH} ]; do
        i=$((i + 1))
        if out=$({kind.refresh} 2>&1); then echo ok; else echo $out; fi
    done
    echo "newest $({kind.newest})"
    """
    while not done():
        for line in client.run(script, timeout=_TIMEOUT_S).stdout.splitlines():
            word, _, rest = line.partition(" ")
            if word == "newest":
                tally.versions.add(rest)
                continue
            tally.reads += 1
            if line != "ok":
                tally.failures.append(line)


def publish_often(site: Site, times: int, reading: Callable[[], bool]) -> int:
    """Add and publish until it was done ``times`` times and nobody reads any more."""
    done = 0
    while done < times or reading():
        site.add(f"1.{done + 1}")
        site.publish()
        done += 1
    return done


def measure(folder: Path, *, reads: int, publications: int, plain: bool) -> tuple[int, list[Tally]]:
    """Run it all; returns how many publications there were, and what each reader did."""
    finished = threading.Event()
    with ExitStack() as stack:
        engine = connect()
        stack.callback(engine.close)
        site = stack.enter_context(open_site(folder))
        site.add("1.0")
        site.publish()
        readers = kinds(Images(engine), plain=plain)
        share = -(-reads // len(readers))
        tallies = [Tally(name=kind.name) for kind in readers]
        with ThreadPoolExecutor(len(readers)) as pool:
            jobs = []
            for kind, tally in zip(readers, tallies, strict=True):
                client = stack.enter_context(open_client(engine, kind.image, "reader"))
                kind.set_up(client, site)
                enough = partial(_has_enough, tally, share, finished)
                jobs.append(pool.submit(read_until, client, kind, tally, enough))
            try:
                done = publish_often(site, publications, partial(_is_short, jobs, tallies, share))
            finally:
                finished.set()
            for job in jobs:
                job.result()
    return done, tallies


def _is_short(jobs: Sequence[Future[None]], tallies: Sequence[Tally], share: int) -> bool:
    """Whether a reader that still runs has not had its share."""
    pairs = zip(jobs, tallies, strict=True)
    return any(not job.done() and tally.reads < share for job, tally in pairs)


def _has_enough(tally: Tally, share: int, finished: threading.Event) -> bool:
    return finished.is_set() and tally.reads >= share


def main() -> None:
    """Parse, run, report; exits with 1 where a refresh failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.readers")
    parser.add_argument("--reads", type=int, default=1000, help="of all kinds together")
    parser.add_argument("--publications", type=int, default=50)
    parser.add_argument("--plain", action="store_true", help="dnf without the mirrorlist")
    options = parser.parse_args()
    log.configure(-1)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="readers-") as folder:
        done, tallies = measure(
            Path(folder),
            reads=options.reads,
            publications=options.publications,
            plain=options.plain,
        )
    console = Console(highlight=False)
    console.print(f"{done} publications in {time.monotonic() - begin:.0f} s")
    for tally in tallies:
        seen = f"{len(tally.versions)} different newest versions seen"
        console.print(
            f"{tally.name}: {tally.reads} refreshes, {len(tally.failures)} failed, {seen}"
        )
        for failure in tally.failures[:5]:
            console.print(f"  {failure}", markup=False)
    sys.exit(1 if any(tally.failures for tally in tallies) else 0)


if __name__ == "__main__":
    main()
