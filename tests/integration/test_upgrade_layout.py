"""From services that bring a CPython each (26.9.6-1) to one runtime, killed at any time.

The older packages are those of BUILDER_FORMER_DIST.
"""

import random
import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.verify.hosts import Host, HostSetup
from tests.integration import guide
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import MOUNT, Dist, NoPackagesError
from tests.integration.dnf import become_distribution, dnf, make_repository
from tests.integration.former import have_former
from tests.integration.images import Images, Suite
from tests.integration.steps import Steps
from tests.integration.stores import run_sql, start_stores
from tests.integration.upgrades import CHANGE, CONFIG, DATABASE, check_kept

pytestmark = [pytest.mark.docker, pytest.mark.full]

_PACKAGES = ("backendai-common", "backendai-manager", "backendai-client")
_RUNTIME = "/opt/backendai/runtime"
_PYTHONS = tuple(f"/opt/backendai/{name}/bin/python3" for name in ("manager", "client"))
_DATA = Path(__file__).parent / "data"
_TIMEOUT_S = 500
# A process of a session: it runs a service's program, in no unit of a service.
_SESSION = f"""
systemd-run --quiet --unit=session {_PYTHONS[0]} -c 'import time
while True: time.sleep(1)'
"""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A host with the older packages at work, and the words of its package manager."""

    host: Host
    upgrade: str
    go_on: str  # what precedes it after an interruption
    moments: tuple[str, ...]  # when to kill: conditions of sh
    repair: Callable[[], None]
    check: Callable[[], None]
    go_back: Callable[[], None]


@contextmanager
def _by_apt(engine: docker.DockerClient, images: Images, dist: Dist, _: Path) -> Iterator[Node]:
    old, new = _both(dist, PackageFormat.DEB)
    setup = HostSetup(
        image=images.stores(Suite.TRIXIE), name="layout-deb", mounts={dist.folder: MOUNT}
    )
    with Host(engine, setup) as host:
        refresh_lists(host)
        start_stores(host, Suite.TRIXIE)
        first = [f"{MOUNT}/{name}" for name in old]
        files = [f"{MOUNT}/{name}" for name in new]
        apt(host, "install", *first)

        def repair() -> None:
            host.run(["dpkg", "--configure", "-a"], check=False, timeout=_TIMEOUT_S)
            # As the guide says: apt lets be what dpkg wants reinstalled, at the same version.
            listed = host.run(["dpkg-query", "-W", "-f=${db:Status-Eflag} ${Package}\n"]).stdout
            half = [line.split()[1] for line in listed.splitlines() if line.startswith("reinstreq")]
            for path in files:
                if any(f"/{name}_" in path for name in half):
                    host.run(["dpkg", "--unpack", path], timeout=_TIMEOUT_S)
            apt(host, "--fix-broken", "install", *files)

        def check() -> None:
            assert not host.run(["dpkg", "--audit"]).stdout
            _check_files(host, "dpkg -L")

        def go_back() -> None:
            apt(host, "install", "--allow-downgrades", *first, "backendai-runtime-")
            host.run(": >/var/log/dpkg.log")

        log = "/var/log/dpkg.log"
        yield Node(
            host=host,
            upgrade="apt-get -y --no-install-recommends --fix-broken install " + " ".join(files),
            go_on="dpkg --configure -a; ",
            moments=(
                f"grep -q ' install backendai-runtime' {log} && sleep 3",
                f"grep -q ' upgrade backendai-manager' {log} && sleep 2",
                f"grep -q ' configure backendai-manager.*-2 ' {log}",
                f"grep -q ' trigproc backendai-common' {log} && sleep 1",
            ),
            repair=repair,
            check=check,
            go_back=go_back,
        )


@contextmanager
def _by_dnf(
    engine: docker.DockerClient, images: Images, dist: Dist, scratch: Path
) -> Iterator[Node]:
    old, new = _both(dist, PackageFormat.RPM)
    setup = HostSetup(image=images.rpm(), name="layout-rpm", mounts={dist.folder: MOUNT})
    with Host(engine, setup) as host:
        release = become_distribution(host, [*old, *new], scratch)
        start_stores(host, Suite.TRIXIE)
        make_repository(host, [*old, *new])
        names = [f"{name}-{revision}" for name in _PACKAGES for revision in _versions(old, name)]
        dnf(host, "install", *names)

        def repair() -> None:
            host.run(f"dnf --releasever={release.version} -y remove --duplicates", check=False)
            dnf(host, "upgrade")
            host.run(["backendai-ctl", "upgrade", "--pending"], timeout=_TIMEOUT_S)

        def check() -> None:
            listed = host.run(["rpm", "--query", "--all", "backendai-*"]).stdout.split()
            assert len(listed) == len(_PACKAGES) + 1, listed
            host.run(["rpm", "--verify", "--nodeps", *_PACKAGES, "backendai-runtime"])
            _check_files(host, "rpm -ql")

        def go_back() -> None:
            dnf(host, "downgrade", *names)
            dnf(host, "remove", "backendai-runtime")

        yield Node(
            host=host,
            upgrade=f"dnf --releasever={release.version} --assumeyes upgrade",
            go_on="",
            moments=(
                f"[ -e {_RUNTIME}/bin ] && sleep 1",
                "readlink /opt/backendai/manager/bin/python3 | grep -q runtime",
                "[ -e /var/lib/backendai/upgrade/manager.pending ]",
            ),
            repair=repair,
            check=check,
            go_back=go_back,
        )


def _versions(files: list[str], package: str) -> list[str]:
    """The version and revision in the file name of a package, as dnf wants it."""
    names = [name.removeprefix(f"{package}-") for name in files if name.startswith(f"{package}-2")]
    return [name.rpartition(".rpm")[0].rpartition(".")[0] for name in names]


def _both(dist: Dist, kind: PackageFormat) -> tuple[list[str], list[str]]:
    try:
        return have_former(dist, kind, *_PACKAGES), dist.names(kind, *_PACKAGES)
    except NoPackagesError as error:
        pytest.skip(f"{error.message}; {error.hint}")


def _check_files(host: Host, listing: str) -> None:
    """Every file below the prefixes is an installed package's.

    Or one that a killed rpm had not renamed yet: it has a name of rpm's own and is never read.
    """
    names = ("manager", "client", "runtime")
    lists = "; ".join(f"{listing} backendai-{name}" for name in names)
    found = " ".join(f"/opt/backendai/{name}" for name in names)
    host.run(f"{{ {lists}; }} | sort -u >/root/listed; find {found} | sort >/root/found")
    left = host.run("comm -13 /root/listed /root/found").stdout.splitlines()
    assert not [path for path in left if not re.search(r";[0-9a-f]{8}$", path)]


@pytest.fixture(params=[_by_apt, _by_dnf], ids=["deb", "rpm"])
def node(
    engine: docker.DockerClient,
    images: Images,
    dist: Dist,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Node]:
    """The older packages at work, with an operator's changes and a session."""
    with request.param(engine, images, dist, tmp_path) as found:
        host = found.host
        guide.wait_until_filled(host)
        guide.wait_for_answer(host)
        run_sql(host, CHANGE, database=DATABASE)
        host.run(["sed", "-i", "1i # mine", CONFIG])
        host.run(_SESSION)
        yield found


def _session(host: Host) -> str:
    return host.run(["systemctl", "show", "--property=MainPID", "--value", "session"]).stdout


def _kill(host: Host, command: str, until: str) -> None:
    """Begin a command, and kill it with all its children once ``until`` is true."""
    host.run(
        "export DEBIAN_FRONTEND=noninteractive; "
        f"setsid {command} >/root/killed.log 2>&1 & pid=$!; "
        f"until {{ {until}; }} || ! kill -0 $pid; do sleep 0.05; done; "
        # apt gives dpkg a terminal, and so a session, of its own.
        "dpkg=$(pgrep -o -x dpkg) && pkill -KILL -s $(ps -o sid= -p $dpkg); "
        "pkill -KILL -s $pid; wait; true",
        timeout=_TIMEOUT_S,
    )


def _has_interpreters(host: Host) -> bool:
    """Whether each service's program runs, whatever was interrupted."""
    return all(
        host.run([python, "-c", "import ssl"], check=False).status == 0 for python in _PYTHONS
    )


def test_no_interpreter_is_missing_while_packages_are_replaced(node: Node, steps: Steps) -> None:
    """No service lacks its interpreter, and each restarts once; sessions go on."""
    host, session = node.host, _session(node.host)
    host.copy_in(_DATA / "watch.pl", "/root/watch.pl")
    paths = " ".join(_PYTHONS)
    host.run(f"systemd-run --quiet --unit=watch perl /root/watch.pl /root/missing {paths}")
    host.wait_until(
        "the watch begins",
        lambda: "begin" in host.run("cat /root/missing", check=False).stdout,
        timeout=20,
    )
    with steps("upgrade"):
        host.run(node.upgrade, timeout=_TIMEOUT_S)
        guide.wait_for_answer(host)
    assert host.read("/root/missing") == "begin\n"
    assert _session(host) == session != "0\n"
    _check_end(node)


def test_killed_at_each_step(node: Node, steps: Steps) -> None:
    """Begun again after each kill, it ends; after each, the services have an interpreter."""
    host, session = node.host, _session(node.host)
    for until in node.moments:
        with steps(f"killed at: {until}"):
            _kill(host, f"sh -c '{node.go_on}{node.upgrade}'", until)
        assert _has_interpreters(host), until
    with steps("again, to its end"):
        node.repair()
        guide.wait_for_answer(host)
    assert _session(host) == session != "0\n"
    _check_end(node)
    with steps("back to the former packages"):
        node.go_back()
        guide.wait_for_answer(host)
    moment = random.uniform(1, 20)
    with steps(f"power cut after {moment:.1f} s"):
        host.run(f"systemd-run --quiet --unit=cut sh -c {shlex.quote(node.upgrade)}")
        time.sleep(moment)
        host.cut_power()
    assert _has_interpreters(host)
    with steps("again, to its end"):
        node.repair()
        guide.wait_for_answer(host)
    _check_end(node)


def _check_end(node: Node) -> None:
    node.check()
    check_kept(node.host)
    assert not node.host.failed_units()
    assert not node.host.run("ls /var/lib/backendai/upgrade/*.pending", check=False).stdout
