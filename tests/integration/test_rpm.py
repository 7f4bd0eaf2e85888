"""Installs the rpm packages by dnf or zypper from a repository, uses them, and erases them.

The host is Debian's dnf, zypper, rpm and systemd with a stub in place of a distribution;
stub.py says what this proves and what it does not.
"""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.verify.hosts import Host, HostSetup
from builder.verify.listing import differences, take_listing
from tests.integration import checks
from tests.integration.dist import MOUNT, RUNTIME, Dist
from tests.integration.dnf import become_distribution, dnf, install_stub, make_repository
from tests.integration.images import Images, Suite
from tests.integration.life import ADMIN_NOTE, PACKAGES, Life, Manager
from tests.integration.steps import Steps
from tests.integration.stub import Release
from tests.integration.zypper import know_repository, zypper

pytestmark = pytest.mark.docker

# rpm knows no purge: configuration, secrets and state stay, as the operator guide says.
_STAYS = (checks.SETTINGS, "/var/lib/backendai", "/var/log/backendai")
# zypper's own state, made by its first call.
_STATE = ("/var/adm", "/var/cache/zypp", "/var/lib/zypp")


def installed_packages(host: Host) -> set[str]:
    """The packages of ours that rpm has on record."""
    listed = host.run(["rpm", "--query", "--all", "--queryformat", "%{NAME}\\n"]).stdout
    return set(listed.split()) & set(PACKAGES)


@pytest.fixture(params=["dnf", "zypper"])
def managed(
    request: pytest.FixtureRequest,
    engine: docker.DockerClient,
    images: Images,
    dist: Dist,
    tmp_path: Path,
) -> Iterator[tuple[Host, Manager]]:
    """A host that a stub makes a distribution, and its package manager."""
    files = dist.names(PackageFormat.RPM, *PACKAGES)
    name = f"rpm-{request.param}"
    setup = HostSetup(image=images.rpm(), name=name, mounts={dist.folder: MOUNT})
    with Host(engine, setup) as host:
        if request.param == "dnf":
            become_distribution(host, files, tmp_path)
        else:
            install_stub(host, Release.LEAP_16, tmp_path)
        make_repository(host, files)
        if request.param == "dnf":
            yield host, manage_by_dnf(host)
        else:
            know_repository(host)
            yield host, manage_by_zypper(host)


def test_install_then_erase(
    engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps, tmp_path: Path
) -> None:
    """Without stores: all is as it was packed, and rpm leaves what an operator may want."""
    files = dist.names(PackageFormat.RPM, *PACKAGES)
    setup = HostSetup(image=images.rpm(), name="rpm-erase", mounts={dist.folder: MOUNT})
    with Host(engine, setup) as host:
        become_distribution(host, files, tmp_path)
        make_repository(host, files)
        before = take_listing(host)
        manager = manage_by_dnf(host)
        with steps("install without stores"):
            manager.install()
        assert installed_packages(host) == set(PACKAGES)
        host.run(["rpm", "--verify", "--nodeps", *PACKAGES, RUNTIME], timeout=120)
        assert not host.failed_units()
        with steps("erase"):
            manager.erase()
        assert not installed_packages(host)
        assert not host.failed_units()
        left = differences(before, take_listing(host))
        stays = tuple(f"+ {folder}/" for folder in _STAYS)
        unexpected = [line for line in left if not f"{line}/".startswith(stays)]
        assert not unexpected, "\n".join(unexpected)


@pytest.mark.full  # at every change deb's life is lived, and rpms are installed and erased above
def test_life_on_a_clean_host(managed: tuple[Host, Manager], dist: Dist, steps: Steps) -> None:
    host, manager = managed
    life = Life(host=host, suite=Suite.TRIXIE, manager=manager, version=dist.version, steps=steps)
    life.prepare()
    installed = life.install()
    assert installed_packages(host) == set(PACKAGES)
    # Modes, owners, sizes and hashes are those of the package.
    host.run(["rpm", "--verify", "--nodeps", *PACKAGES, RUNTIME], timeout=120)
    edited = life.edit()
    life.restart_and_check(installed)
    life.reinstall(edited)
    kept = (f"+ {ADMIN_NOTE}", f"+ {checks.SETTINGS}/manager.toml")
    life.erase(kept, may_stay=(*_STAYS, *_STATE))
    assert not installed_packages(host)
    assert host.read(f"{checks.SETTINGS}/manager.toml") == edited


def manage_by_dnf(host: Host) -> Manager:
    """backendai-common comes by the manager's dependency."""
    return Manager(
        install=lambda: dnf(host, "install", "backendai-manager"),
        reinstall=lambda: dnf(host, "reinstall", *PACKAGES, RUNTIME),
        erase=lambda: dnf(host, "remove", *PACKAGES, RUNTIME),
    )


def manage_by_zypper(host: Host) -> Manager:
    """The same calls, as an operator of openSUSE types them."""
    return Manager(
        install=lambda: zypper(host, "install", "backendai-manager"),
        reinstall=lambda: zypper(host, "install", "--force", *PACKAGES, RUNTIME),
        erase=lambda: zypper(host, "remove", *PACKAGES, RUNTIME),
    )
