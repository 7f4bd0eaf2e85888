"""The family on a host of the other architecture: installed by apt, imported whole, at work.

Takes about an hour, most of it for imports: an emulator runs every instruction.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import docker
import pytest

from builder.base.model import PackageFormat
from builder.base.paths import PKGSPEC
from builder.spec.gates import load_gates
from builder.stage.imports import find_modules, import_modules
from builder.verify.hosts import Host, HostSetup
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import MOUNT, Dist, find_dist
from tests.integration.foreign import (
    FOREIGN,
    ForeignHost,
    build_foreign,
    lacks_emulator,
    open_foreign,
)
from tests.integration.images import Images, Suite
from tests.integration.nodes import open_stores
from tests.integration.steps import Steps
from tests.integration.stores import run_sql, start_stores

pytestmark = [pytest.mark.docker, pytest.mark.build, pytest.mark.full]

_PACKAGES = (
    "backendai-common",
    "backendai-client",
    "backendai-manager",
    "backendai-storage-proxy",
    "backendai-webserver",
    "backendai-agent",
    "backendai-appproxy-coordinator",
    "backendai-appproxy-worker",
    "backendai-graphql",
)
_ENVIRONMENTS = (
    "runtime",
    *sorted(
        name.removeprefix("backendai-")
        for name in _PACKAGES
        if name not in ("backendai-common", "backendai-graphql")
    ),
)
_SITE = "/etc/backend.ai/site.toml"
_DPKG = "/etc/dpkg/dpkg.cfg.d/test"
_LOG = "/var/log/backendai/manager.out"
_PROJECTS = "SELECT DISTINCT project FROM container_registries ORDER BY project"
_LIMIT_S = 7200  # for a step on the emulated host, on a busy machine, too
# As its unit runs it, but for the sandbox, which cannot be emulated.
_START = f"""
set -eu
folder=/var/lib/backendai/manager
install -d -o backendai -g backendai -m 0750 /run/backendai/manager "$folder"
cd "$folder"
HOME="$folder" setsid --fork setpriv --reuid backendai --regid backendai --init-groups \\
    /opt/backendai/manager/bin/run-manager >{_LOG} 2>&1 </dev/null
"""


@pytest.fixture(scope="module")
def foreign_dist(tmp_path_factory: pytest.TempPathFactory) -> Dist:
    """The family for FOREIGN: of BUILDER_FOREIGN_DIST, or built here."""
    missing = lacks_emulator()
    if missing:
        pytest.skip(missing)
    given = os.environ.get("BUILDER_FOREIGN_DIST")
    folder = Path(given) if given else tmp_path_factory.mktemp("foreign")
    if not given:
        build_foreign(folder)
    return find_dist(folder)


@pytest.fixture(scope="module")
def stores(engine: docker.DockerClient, images: Images) -> Iterator[Host]:
    """A host of this machine's own architecture, with the stores on the network."""
    with Host(engine, HostSetup(image=images.stores(Suite.TRIXIE), name="foreign-stores")) as host:
        start_stores(host, Suite.TRIXIE)
        open_stores(host)
        yield host


@pytest.fixture(scope="module")
def node(
    engine: docker.DockerClient,
    images: Images,
    foreign_dist: Dist,
    stores: Host,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ForeignHost]:
    """The whole family on one host of FOREIGN, whose stores are on another."""
    stores.run(["sh", "-c", "umask 077; openssl rand -hex 16 >/root/password"])
    password = stores.read("/root/password").strip()
    run_sql(stores, f"CREATE ROLE backend LOGIN PASSWORD '{password}'")
    run_sql(stores, "CREATE DATABASE backend OWNER backend")
    site = (
        f'[etcd]\naddresses = ["{stores.address}:2379"]\n'
        f'[redis]\naddress = "{stores.address}:6379"\n'
        f'[database]\naddress = "{stores.address}:5432"\npassword = "{password}"\n'
    )
    files = foreign_dist.names(PackageFormat.DEB, *_PACKAGES)
    work = tmp_path_factory.mktemp("work")
    with open_foreign(engine, images, foreign_dist, work) as opened:
        refresh_lists(opened.host)
        opened.host.run(["mkdir", "-p", "/etc/backend.ai"])
        opened.host.write(_SITE, site, mode=0o640)
        opened.host.write(_DPKG, "force-unsafe-io\n")  # nobody needs the host after a crash
        apt(opened.host, "install", *(f"{MOUNT}/{name}" for name in files), timeout=_LIMIT_S)
        yield opened


def test_every_environment_is_installed(node: ForeignHost) -> None:
    assert node.host.run(["uname", "-m"]).stdout.strip() == FOREIGN.machine
    assert not node.host.run(["dpkg", "--audit"]).stdout
    assert tuple(node.services) == _ENVIRONMENTS


def test_the_manager_answers(node: ForeignHost, stores: Host, steps: Steps) -> None:
    """It fills stores of another architecture, and knows the images for its own."""
    host = node.host
    with steps("make the coordinator's database"):
        sql = host.run(["backendai-ctl", "sql", "appproxy-coordinator"], timeout=_LIMIT_S).stdout
        run_sql(stores, sql)
    with steps("fill the stores"):
        host.run(["backendai-ctl", "seed", "apply", "--no-start"], timeout=_LIMIT_S)
    assert "multiarch" in run_sql(stores, _PROJECTS, database="backend").split()
    assert "multiarch" in host.run(["backendai-ctl", "site", "get", "registry.projects"]).stdout
    with steps("start the manager"):
        host.run(_START)
        host.wait_until("the manager answers", lambda: bool(ask(host)), timeout=_LIMIT_S)
    assert "manager" in ask(host)


def ask(host: Host) -> str:
    """What the manager answers to this machine; empty for no answer."""
    try:
        with urlopen(f"http://{host.address}:8081/", timeout=60) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


@pytest.mark.parametrize("service", _ENVIRONMENTS)
def test_every_module_imports(node: ForeignHost, service: str, steps: Steps) -> None:
    """All modules of all wheels of a service, by the check and the reasons of `builder gate`."""
    environment = node.environment(service)
    modules = find_modules(environment.sites[:1])
    with steps(f"import {len(modules)} modules"):
        jobs = os.cpu_count() or 1
        found = import_modules(environment, modules, node.scratch(service), jobs=jobs)
    failed = {module: error for module, error in found.items() if error}
    steps.say(f"{len(failed)} of {len(modules)} modules do not import")
    reasons = load_gates(PKGSPEC).module
    unknown = [
        f"{module}: {error}"
        for module, error in failed.items()
        if not any(reason.covers(f"backendai-{service}", module, error) for reason in reasons)
    ]
    assert modules
    assert not unknown, "\n".join(unknown)
