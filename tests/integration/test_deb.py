"""Installs the deb packages on clean Debian hosts, uses them, and removes them."""

import docker
import pytest

from builder.base.model import PackageFormat
from builder.verify.hosts import Host, HostSetup
from builder.verify.listing import differences, take_listing
from tests.integration import checks
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import MOUNT, RUNTIME, Dist
from tests.integration.images import Images, Suite
from tests.integration.life import ADMIN_NOTE, PACKAGES, Life, Manager
from tests.integration.steps import Steps

pytestmark = pytest.mark.docker

CLIENT = "backendai-client"
STATE = "/var/lib/backendai/manager"
# Where an admin mounts something.
MOUNTS = {f"{STATE}/a disk": "tmpfs", f"{STATE}/deep/er/bind": "bind"}
DISK = "/srv/disk"
_SUITES = [
    Suite.BOOKWORM,
    # The end-to-end cases install on it.
    pytest.param(Suite.TRIXIE, marks=pytest.mark.full),
]


def check_states(host: Host, wanted: str, packages: tuple[str, ...] = PACKAGES) -> None:
    """Every package of ours is in dpkg's state ``wanted``."""
    for package in packages:
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


def check_refused_without_proc(host: Host, files: list[str]) -> None:
    """As in `dpkg --root` on a folder without /proc: nothing is unpacked."""
    hidden = f"mount -t tmpfs none /proc && dpkg --install {' '.join(files)}"
    done = host.run(["unshare", "--mount", "sh", "-c", hidden], check=False)
    assert done.status != 0
    for package in (*PACKAGES, CLIENT):
        assert f"{package}: error: /proc is not mounted" in done.stderr
    check_states(host, "not-installed", (*PACKAGES, CLIENT))


def mount_disks(host: Host) -> None:
    """A file system of its own, and a folder of the host's, which has the same device."""
    host.run(["mkdir", "-p", DISK, *MOUNTS])
    for place, kind in MOUNTS.items():
        command = ["-t", "tmpfs", "none"] if kind == "tmpfs" else ["--bind", DISK]
        host.run(["mount", *command, place])
        # Not by host.write, which sees no mount that was made inside.
        host.run(f"printf data >'{place}/users'; printf ours >'{STATE}/deep/state'")


def take_disks_away(host: Host, said: str) -> None:
    """After the purge they are as they were, and only what leads to them is there."""
    left = host.run(["find", "/var/lib/backendai", "-mindepth", "1"]).stdout.splitlines()
    wanted = {STATE, f"{STATE}/deep", f"{STATE}/deep/er"}
    wanted |= {path for place in MOUNTS for path in (place, f"{place}/users")}
    assert set(left) == wanted
    for place in MOUNTS:
        assert f"{place} (mount)" in said
        assert host.run(["cat", f"{place}/users"]).stdout == "data"
        host.run(["umount", place])
    host.run(["rm", "-r", "/var/lib/backendai", DISK])


@pytest.mark.parametrize("suite", _SUITES)
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
            apt(host, "remove", *reversed(PACKAGES), RUNTIME)
            check_removed_but_configured(host)
            apt(host, "purge", *reversed(PACKAGES), RUNTIME)
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
    """Nobody configured anything: then nothing at all stays, stores or not.

    What the admin has mounted stays, and so does /opt, whose last package is the client.
    """
    packages = (*PACKAGES, CLIENT)
    files = [f"{MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *packages)]
    image = images.stores(Suite.TRIXIE)
    # No volume: dpkg would take /opt itself away with the last package in it.
    setup = HostSetup(image=image, name="deb-purge", mounts={dist.folder: MOUNT}, volumes=())
    with Host(engine, setup) as host:
        refresh_lists(host)
        before = take_listing(host)
        check_refused_without_proc(host, files)
        with steps("install without stores"):
            apt(host, "install", *files)
        check_states(host, "installed")
        assert not host.failed_units()
        mount_disks(host)
        with steps("purge"):
            said = apt(host, "purge", PACKAGES[-1])
            said += apt(host, "purge", CLIENT, PACKAGES[0], RUNTIME)
        check_states(host, "not-installed", packages)
        assert said.count("left as it is") == 1
        take_disks_away(host, said)
        left = differences(before, take_listing(host))
        assert not left, "\n".join(left)
