"""The upgrades of test_upgrade.py by dnf, whose scriptlets come in another order."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.verify.hosts import Host, HostSetup
from tests.integration import guide
from tests.integration.dist import Dist, have_release
from tests.integration.dnf import become_distribution, dnf, make_repository
from tests.integration.images import Images, Suite
from tests.integration.steps import Steps
from tests.integration.stores import run_sql, start_stores
from tests.integration.upgrades import (
    CHANGE,
    CONFIG,
    DATABASE,
    check_kept,
    dumps,
    revision,
    starts,
)

# At every change test_upgrade.py does so by apt, and test_rpm.py installs and erases by dnf.
pytestmark = [pytest.mark.docker, pytest.mark.full]

_MOUNT = "/dist"
_PACKAGES = ("backendai-common", "backendai-manager")
# Of lines that are maintained; faults are tried with the first.
_OLD, _OTHER, _NEW = "26.8.3", "26.4.16", "26.9.6"
_TIMEOUT_S = 420


@pytest.fixture(params=[_OLD])
def former(request: pytest.FixtureRequest) -> str:
    """The release that comes before."""
    return str(request.param)


@pytest.fixture
def host(
    engine: docker.DockerClient, images: Images, dist: Dist, former: str, tmp_path: Path
) -> Iterator[Host]:
    """A clean host whose stores answer, and which knows both releases."""
    both = [
        name
        for version in (former, _NEW)
        for name in have_release(dist, version, PackageFormat.RPM, *_PACKAGES)
    ]
    setup = HostSetup(image=images.rpm(), name="upgrade-rpm", mounts={dist.folder: _MOUNT})
    with Host(engine, setup) as host:
        become_distribution(host, both, tmp_path)
        make_repository(host, both)
        start_stores(host, Suite.TRIXIE)
        yield host


def installed(host: Host) -> dict[str, str]:
    """The version of each of our packages."""
    listed = host.run(["rpm", "--query", "--queryformat", "%{NAME} %{VERSION}\\n", *_PACKAGES])
    return dict(line.split() for line in listed.stdout.splitlines())


def install_old(host: Host, steps: Steps, former: str = _OLD) -> str:
    """The old release, until it answers; where its database is."""
    with steps(f"install {former}"):
        dnf(host, "install", f"backendai-manager-{former}")
        guide.wait_until_filled(host)
        guide.wait_for_answer(host)
    return revision(host)


def check_files(host: Host) -> None:
    """Every file below the prefix is the installed package's, and as it was packed."""
    host.run(["rpm", "--verify", "--nodeps", *_PACKAGES], timeout=120)
    script = (
        "rpm -ql backendai-manager | sort >/root/listed; "
        "find /opt/backendai/manager | sort >/root/found; comm -13 /root/listed /root/found"
    )
    assert host.run(script).stdout == ""


@pytest.mark.parametrize("former", [_OLD, _OTHER], indirect=True)
def test_across_lines_by_dnf(host: Host, former: str, steps: Steps) -> None:
    """Dumped, migrated, restarted once at the transaction's end; back only with the dump."""
    old = install_old(host, steps, former)
    run_sql(host, CHANGE, database=DATABASE)
    host.run(["sed", "-i", "1i # mine", CONFIG])
    began = starts(host)
    with steps(f"upgrade to {_NEW}"):
        dnf(host, "upgrade")
        guide.wait_for_answer(host)
    assert installed(host) == dict.fromkeys(_PACKAGES, _NEW)
    new = revision(host)
    assert new != old
    assert starts(host) == began + 1
    check_kept(host)
    check_files(host)
    assert not host.run("ls /var/lib/backendai/upgrade/*.pending", check=False).stdout
    (dump,) = dumps(host)

    with steps("a downgrade is refused"):
        release = host.read("/etc/dnf/vars/releasever").strip()
        wanted = [f"{package}-{former}" for package in _PACKAGES]
        command = ["dnf", f"--releasever={release}", "--assumeyes", "downgrade", *wanted]
        refused = host.run(command, check=False, timeout=_TIMEOUT_S)
    assert refused.status != 0
    assert "would destroy data" in refused.stderr + refused.stdout
    assert installed(host) == dict.fromkeys(_PACKAGES, _NEW)
    guide.wait_for_answer(host)
    assert revision(host) == new

    with steps("downgrade with the dump"):
        host.run("touch /etc/backend.ai/allow-upgrade")
        dnf(host, "downgrade", *wanted)
        assert installed(host) == dict.fromkeys(_PACKAGES, former)
        assert guide.get(host) == ""  # down: its database is of a newer release
        host.run(["backendai-ctl", "restore", "--yes", dump], timeout=_TIMEOUT_S)
        guide.wait_for_answer(host)
    assert revision(host) == old
    check_kept(host)


def test_an_unreachable_store_by_dnf(host: Host, steps: Steps) -> None:
    """The transaction ends well, and the migration by itself when the store is back."""
    old = install_old(host, steps)
    host.run(["systemctl", "stop", "postgresql"])
    with steps("upgrade while the database is unreachable"):
        dnf(host, "upgrade")
    assert installed(host) == dict.fromkeys(_PACKAGES, _NEW)
    status = " ".join(host.run(["backendai-ctl", "status"], check=False).stdout.split())
    assert "its database is not upgraded" in status
    host.run(["systemctl", "start", "postgresql"])
    with steps("it ends by itself"):
        guide.wait_for_answer(host)
    assert revision(host) != old
    assert not host.failed_units()


def test_a_database_that_a_removal_left_by_dnf(host: Host, steps: Steps) -> None:
    """A newer release is installed on it: it is migrated, and the service comes up."""
    old = install_old(host, steps)
    dnf(host, "remove", "backendai-manager", "backendai-common")
    with steps(f"install {_NEW}"):
        dnf(host, "install", "backendai-manager")
    assert installed(host) == dict.fromkeys(_PACKAGES, _NEW)
    guide.wait_for_answer(host)
    assert revision(host) != old
    assert not host.failed_units()
