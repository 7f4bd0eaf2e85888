"""A manager that imports its modules while its stores are filled, and what may interrupt that."""

from collections.abc import Iterator

import docker
import pytest

from builder.base.model import PackageFormat
from builder.verify.hosts import Host, HostSetup
from tests.integration import guide
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import MOUNT, Dist
from tests.integration.images import Images, Suite
from tests.integration.stores import start_stores

# In CI the first installations of every host go this way, without an interruption.
pytestmark = [pytest.mark.docker, pytest.mark.full]

_HELD = "/run/backendai/manager/held"
_SEED = "backendai-seed.service"
_TIMEOUT_S = 300


@pytest.fixture
def host(engine: docker.DockerClient, images: Images, dist: Dist) -> Iterator[Host]:
    """A manager was installed, waits for its stores, and is held; the stores do not run."""
    packages = ("backendai-common", "backendai-runtime", "backendai-manager")
    files = [f"{MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *packages)]
    setup = HostSetup(image=images.stores(Suite.TRIXIE), name="first", mounts={dist.folder: MOUNT})
    with Host(engine, setup) as made:
        refresh_lists(made)
        made.run(
            "mkdir -p /etc/backend.ai && printf '[seed]\\nwait = 240\\n' >/etc/backend.ai/site.toml"
        )
        apt(made, "install", *files)
        made.wait_until("the manager is held", lambda: _has(made, _HELD), timeout=_TIMEOUT_S)
        yield made


def _has(host: Host, path: str) -> bool:
    return host.run(["test", "-e", path], check=False).status == 0


def _is_held(host: Host) -> bool:
    return _has(host, _HELD) and _state(host) == "activating"


def _state(host: Host) -> str:
    return host.run(["systemctl", "is-active", guide.UNIT], check=False).stdout.strip()


def _main_pid(host: Host) -> str:
    return host.run(["systemctl", "show", "--property=MainPID", "--value", guide.UNIT]).stdout


def test_a_killed_run_is_completed_by_the_next(host: Host) -> None:
    """The retry finds the held server, fills the stores, and the same process goes on."""
    assert _is_held(host)
    # Before it there is the process that looks at its port.
    host.wait_until("it is a process", lambda: _main_pid(host) != "0\n", timeout=_TIMEOUT_S)
    held = _main_pid(host)
    host.run(["systemctl", "kill", "--signal=KILL", _SEED])
    start_stores(host, Suite.TRIXIE)
    guide.wait_until_filled(host)
    guide.wait_for_answer(host)
    assert not _has(host, _HELD)
    assert _main_pid(host) == held
    assert not host.failed_units()
    # A later start is one without the tool.
    host.run(["systemctl", "restart", guide.UNIT], timeout=_TIMEOUT_S)
    guide.wait_for_answer(host)
    assert _main_pid(host) != held


def test_a_run_that_is_stopped_leaves_no_server(host: Host) -> None:
    """An admin stops the seeding, and a later one is not a first start."""
    assert _is_held(host)
    host.run(["systemctl", "stop", _SEED, "backendai.target"], timeout=_TIMEOUT_S)
    assert _state(host) != "activating"
    host.run("backendai-ctl seed apply --wait 1", check=False, timeout=_TIMEOUT_S)
    assert not _has(host, _HELD)
    assert _state(host) == "inactive"
    start_stores(host, Suite.TRIXIE)
    host.run(["systemctl", "start", "backendai.target"], timeout=_TIMEOUT_S)
    guide.wait_until_filled(host)
    guide.wait_for_answer(host)


def test_removed_while_it_is_held(host: Host) -> None:
    assert _is_held(host)
    apt(host, "purge", "backendai-manager")
    assert not _has(host, "/run/backendai/manager")
    assert not host.failed_units()
