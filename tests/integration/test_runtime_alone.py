"""A new revision of the runtime alone: what runs on the older one is named, and restarts once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.base.paths import PROJECT
from builder.verify.hosts import Host, HostSetup
from tests.helpers.toy import DATA_FOLDERS
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import COMMON, MOUNT, RUNTIME, Dist
from tests.integration.dnf import become_distribution, dnf, make_repository
from tests.integration.guide import wait_for_answer, wait_until_filled
from tests.integration.images import Images, Suite
from tests.integration.revisions import build_in, raise_revision
from tests.integration.steps import Steps
from tests.integration.stores import start_stores

pytestmark = [pytest.mark.docker, pytest.mark.full]

_SERVICES = ("manager", "storage-proxy", "webserver")
_PACKAGES = (COMMON, *(f"backendai-{service}" for service in _SERVICES))
_NEW = "/newer"
_OLDER = "runs on an older runtime"
_TIMEOUT_S = 240


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with revision 90 of the runtime, and nothing else."""
    root = tmp_path_factory.mktemp("runtime-alone")
    project = root / "project"
    for folder in ("builder", *DATA_FOLDERS):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / folder, project / folder, ignore=ignored)
    raise_revision(project / "pkgspec/releases/26.9.toml", 90, RUNTIME)
    build_in(project, root / "dist", RUNTIME)
    return root / "dist"


def _starts(host: Host) -> dict[str, int]:
    """How often systemd has started each service."""
    counts = {}
    for service in _SERVICES:
        unit = f"backendai-{service}.service"
        script = f"journalctl -q --no-pager -o cat -u {unit} | grep -c '^Starting {unit}'"
        counts[service] = int(host.run(script, check=False).stdout)
    return counts


def _wait_until_up(host: Host) -> None:
    def is_up() -> bool:
        units = [f"backendai-{service}.service" for service in _SERVICES]
        return host.run(["systemctl", "is-active", *units], check=False).status == 0

    host.wait_until("all services are up", is_up, timeout=_TIMEOUT_S)
    wait_for_answer(host)


def _check_restart(host: Host, before: dict[str, int], upgrade: Callable[[], object]) -> None:
    upgrade()
    _wait_until_up(host)
    assert _starts(host) == {service: count + 1 for service, count in before.items()}
    assert _OLDER not in host.run(["backendai-ctl", "status"], check=False).stdout
    assert not host.failed_units()


def test_by_dpkg(
    engine: docker.DockerClient, images: Images, dist: Dist, newer: Path, steps: Steps
) -> None:
    """Unpacked and not configured yet, ``status`` names the services; then each restarts once."""
    (runtime,) = newer.glob(f"{RUNTIME}_*.deb")
    setup = HostSetup(
        image=images.stores(Suite.TRIXIE),
        name="runtime-alone",
        mounts={dist.folder: MOUNT, newer: _NEW},
        # Which program a process of another account runs is for root to see, on a real host.
        capabilities=("SYS_PTRACE",),
    )
    with Host(engine, setup) as host:
        refresh_lists(host)
        start_stores(host, Suite.TRIXIE)
        names = dist.names(PackageFormat.DEB, *_PACKAGES)
        with steps("install"):
            apt(host, "install", *(f"{MOUNT}/{name}" for name in names))
            wait_until_filled(host)
            _wait_until_up(host)
        before = _starts(host)
        with steps("unpack the newer runtime"):
            host.run(["dpkg", "--unpack", f"{_NEW}/{runtime.name}"], timeout=_TIMEOUT_S)
        status = host.run(["backendai-ctl", "status"], check=False).stdout
        assert status.count(_OLDER) == len(_SERVICES), status
        assert _starts(host) == before
        configure = ["dpkg", "--configure", "--pending"]
        with steps("configure it"):
            _check_restart(host, before, lambda: host.run(configure, timeout=_TIMEOUT_S))
        assert not host.run(["dpkg", "--audit"]).stdout


def test_by_dnf(
    engine: docker.DockerClient, images: Images, dist: Dist, newer: Path, steps: Steps
) -> None:
    """The same by one transaction."""
    (runtime,) = newer.glob(f"{RUNTIME}-*.rpm")
    names = dist.names(PackageFormat.RPM, *_PACKAGES)
    setup = HostSetup(
        image=images.rpm(), name="runtime-alone-rpm", mounts={dist.folder: MOUNT, newer: _NEW}
    )
    with Host(engine, setup) as host:
        become_distribution(host, names, newer.parent)
        start_stores(host, Suite.TRIXIE)
        make_repository(host, names)
        with steps("install"):
            dnf(host, "install", *_PACKAGES)
            host.run(["systemctl", "start", *(f"backendai-{name}" for name in _SERVICES)])
            wait_until_filled(host)
            _wait_until_up(host)
        with steps("a newer runtime"):
            upgrade = ("upgrade", f"{_NEW}/{runtime.name}")
            _check_restart(host, _starts(host), lambda: dnf(host, *upgrade))
