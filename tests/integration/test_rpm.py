"""Installs the rpm packages by dnf from a repository, uses them, and erases them.

The host is Debian's dnf, rpm and systemd with a stub in place of a distribution;
stub.py says what this proves and what it does not.
"""

from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.verify.hosts import Host, HostSetup
from tests.integration import checks
from tests.integration.dist import MOUNT, RUNTIME, Dist
from tests.integration.dnf import become_distribution, dnf, make_repository
from tests.integration.images import Images, Suite
from tests.integration.life import ADMIN_NOTE, PACKAGES, Life, Manager
from tests.integration.steps import Steps

pytestmark = pytest.mark.docker

# rpm knows no purge: configuration, secrets and state stay, as the operator guide says.
_STAYS = (checks.SETTINGS, "/var/lib/backendai", "/var/log/backendai")


def installed_packages(host: Host) -> set[str]:
    """The packages of ours that rpm has on record."""
    listed = host.run(["rpm", "--query", "--all", "--queryformat", "%{NAME}\\n"]).stdout
    return set(listed.split()) & set(PACKAGES)


def test_life_on_a_clean_host(
    engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps, tmp_path: Path
) -> None:
    files = dist.names(PackageFormat.RPM, *PACKAGES)
    with steps("image"):
        image = images.rpm()
    setup = HostSetup(image=image, name="rpm", mounts={dist.folder: MOUNT})
    with Host(engine, setup) as host:
        release = become_distribution(host, files, tmp_path)
        steps.say(f"the packages ask for {release} at least")
        make_repository(host, files)

        def erase() -> None:
            dnf(host, "remove", *PACKAGES, RUNTIME)
            assert not installed_packages(host)

        manager = Manager(
            # backendai-common comes by the dependency
            install=lambda: dnf(host, "install", "backendai-manager"),
            reinstall=lambda: dnf(host, "reinstall", *PACKAGES, RUNTIME),
            erase=erase,
        )
        life = Life(
            host=host, suite=Suite.TRIXIE, manager=manager, version=dist.version, steps=steps
        )
        life.prepare()
        installed = life.install()
        assert installed_packages(host) == set(PACKAGES)
        # Modes, owners, sizes and hashes are those of the package.
        host.run(["rpm", "--verify", "--nodeps", *PACKAGES, RUNTIME], timeout=120)
        edited = life.edit()
        life.restart_and_check(installed)
        life.reinstall(edited)
        kept = (f"+ {ADMIN_NOTE}", f"+ {checks.SETTINGS}/manager.toml")
        life.erase(kept, may_stay=_STAYS)
        assert host.read(f"{checks.SETTINGS}/manager.toml") == edited
