"""Installs the rpm packages by dnf from a repository, uses them, and erases them.

The host is Debian's dnf, rpm and systemd with a stub in place of an el9 or el10;
data/el.toml says what this proves and what it does not.
"""

from pathlib import Path

import docker
import pytest

from builder.model import PackageFormat
from builder.verify.hosts import Host, HostSetup
from tests.integration import checks
from tests.integration.dist import Dist
from tests.integration.images import Images, Suite
from tests.integration.life import ADMIN_NOTE, PACKAGES, Life, Manager
from tests.integration.steps import Steps
from tests.integration.stub import Release, make_stub_rpm, oldest_release

pytestmark = pytest.mark.docker

_MOUNT = "/dist"
_REPOSITORY = "/srv/repository"
_DNF_TIMEOUT_S = 420
_REPO_FILE = f"""\
[packages-under-test]
name=Packages under test
baseurl=file://{_REPOSITORY}
enabled=1
gpgcheck=0
"""
# rpm knows no purge: configuration, secrets and state stay, as the operator guide says.
_STAYS = (checks.SETTINGS, "/var/lib/backendai", "/var/log/backendai")


def make_repository(host: Host, files: list[str]) -> None:
    """Make a dnf repository of the packages, and the file that tells dnf of it."""
    host.run(["mkdir", "-p", _REPOSITORY, "/etc/yum.repos.d"])
    host.run(["ln", "-s", *(f"{_MOUNT}/{name}" for name in files), _REPOSITORY])
    host.run(["createrepo_c", "--quiet", _REPOSITORY], timeout=120)
    host.write("/etc/yum.repos.d/packages-under-test.repo", _REPO_FILE)


def dnf(host: Host, *arguments: str) -> None:
    """Call dnf, without questions."""
    release = host.read("/etc/dnf/vars/releasever").strip()
    command = ["dnf", f"--releasever={release}", "--assumeyes", *arguments]
    host.run(command, timeout=_DNF_TIMEOUT_S)


def become_distribution(host: Host, files: list[str], folder: Path) -> Release:
    """Install the stub of the oldest release that can have these packages."""
    paths = [f"{_MOUNT}/{name}" for name in files]
    requires = host.run(["rpm", "--query", "--requires", "--package", *paths]).stdout
    release = oldest_release(requires.splitlines())
    stub = make_stub_rpm(folder, release)
    host.copy_in(stub, f"/root/{stub.name}")
    host.run(["rpm", "--install", f"/root/{stub.name}"])
    # The second is a folder of that distribution's own.
    host.run(["mkdir", "-p", "/etc/dnf/vars", "/usr/share/licenses"])
    host.write("/etc/dnf/vars/releasever", f"{release.value}\n")
    return release


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
    setup = HostSetup(image=image, name="rpm", mounts={dist.folder: _MOUNT})
    with Host(engine, setup) as host:
        release = become_distribution(host, files, tmp_path)
        steps.say(f"the packages ask for an el{release.value} at least")
        make_repository(host, files)

        def erase() -> None:
            dnf(host, "remove", *PACKAGES)
            assert not installed_packages(host)

        manager = Manager(
            # backendai-common comes by the dependency
            install=lambda: dnf(host, "install", "backendai-manager"),
            reinstall=lambda: dnf(host, "reinstall", *PACKAGES),
            erase=erase,
        )
        life = Life(
            host=host, suite=Suite.TRIXIE, manager=manager, version=dist.version, steps=steps
        )
        life.prepare()
        installed = life.install()
        assert installed_packages(host) == set(PACKAGES)
        # Modes, owners, sizes and hashes are those of the package.
        host.run(["rpm", "--verify", "--nodeps", *PACKAGES], timeout=120)
        edited = life.edit()
        life.restart_and_check(installed)
        life.reinstall(edited)
        kept = (f"+ {ADMIN_NOTE}", f"+ {checks.SETTINGS}/manager.toml")
        life.erase(kept, may_stay=_STAYS)
        assert host.read(f"{checks.SETTINGS}/manager.toml") == edited
