"""Installs the deb packages on clean Debian hosts, uses them, and removes them."""

import docker
import pytest

from builder.base.model import PackageFormat
from builder.verify.hosts import Host, HostSetup
from builder.verify.listing import differences, take_listing
from tests.integration import checks
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import MOUNT, Dist
from tests.integration.images import Images, Suite
from tests.integration.life import ADMIN_NOTE, PACKAGES, Life, Manager
from tests.integration.steps import Steps

pytestmark = pytest.mark.docker


def check_states(host: Host, wanted: str) -> None:
    """Every package of ours is in dpkg's state ``wanted``."""
    for package in PACKAGES:
        command = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
        state = host.run(command, check=False).stdout or "not-installed"
        assert state == wanted, f"{package}: {state}"


def check_removed_but_configured(host: Host) -> None:
    """After removal, and before purge, the code is gone and the configuration is not."""
    check_states(host, "config-files")
    left = host.run(["find", checks.ROOT], check=False).stdout
    assert not left, left
    host.run(["test", "-s", f"{checks.SETTINGS}/manager.toml"])
    host.run(["test", "-d", checks.SECRETS])


@pytest.mark.parametrize("suite", list(Suite))
def test_life_on_a_clean_host(
    suite: Suite, engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps
) -> None:
    files = [f"{MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *PACKAGES)]
    with steps("image"):
        image = images.stores(suite)
    setup = HostSetup(image=image, name=f"deb-{suite}", mounts={dist.folder: MOUNT})
    with Host(engine, setup) as host:
        refresh_lists(host)

        def erase() -> None:
            apt(host, "remove", *reversed(PACKAGES))
            check_removed_but_configured(host)
            apt(host, "purge", *reversed(PACKAGES))
            check_states(host, "not-installed")

        manager = Manager(
            install=lambda: apt(host, "install", *files),
            reinstall=lambda: apt(host, "install", "--reinstall", *files),
            erase=erase,
        )
        life = Life(host=host, suite=suite, manager=manager, version=dist.version, steps=steps)
        life.prepare()
        installed = life.install()
        check_states(host, "installed")
        edited = life.edit()
        life.restart_and_check(installed)
        life.reinstall(edited)
        life.erase((f"+ {checks.SETTINGS}", f"+ {ADMIN_NOTE}"))


def test_install_then_purge_leaves_nothing(
    engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps
) -> None:
    """Nobody configured anything: then nothing at all stays, stores or not."""
    files = [f"{MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *PACKAGES)]
    image = images.stores(Suite.TRIXIE)
    # No volume: dpkg would take /opt itself away with the last package in it.
    setup = HostSetup(image=image, name="deb-purge", mounts={dist.folder: MOUNT}, volumes=())
    with Host(engine, setup) as host:
        refresh_lists(host)
        before = take_listing(host)
        with steps("install without stores"):
            apt(host, "install", *files)
        check_states(host, "installed")
        assert not host.failed_units()
        with steps("purge"):
            apt(host, "purge", *reversed(PACKAGES))
        left = differences(before, take_listing(host))
        assert not left, "\n".join(left)
