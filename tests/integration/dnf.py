"""dnf on a host that a stub makes another distribution; stub.py says what this proves."""

from pathlib import Path

from builder.verify.hosts import Host
from tests.integration.dist import MOUNT
from tests.integration.stub import Release, make_stub_rpm, oldest_release

REPOSITORY = "/srv/repository"
_DNF_TIMEOUT_S = 420
_REPO_FILE = f"""\
[packages-under-test]
name=Packages under test
baseurl=file://{REPOSITORY}
enabled=1
gpgcheck=0
"""


def make_repository(host: Host, files: list[str]) -> None:
    """Make a dnf repository of the packages, and the file by which dnf finds it."""
    host.run(["mkdir", "-p", REPOSITORY, "/etc/yum.repos.d"])
    host.run(["ln", "-s", *(f"{MOUNT}/{name}" for name in files), REPOSITORY])
    host.run(["createrepo_c", "--quiet", REPOSITORY], timeout=120)
    host.write("/etc/yum.repos.d/packages-under-test.repo", _REPO_FILE)


def dnf(host: Host, *arguments: str) -> str:
    """Call dnf, without questions; returns all that it printed."""
    release = host.read("/etc/dnf/vars/releasever").strip()
    command = ["dnf", f"--releasever={release}", "--assumeyes", *arguments]
    done = host.run(command, timeout=_DNF_TIMEOUT_S)
    return done.stdout + done.stderr


def become_distribution(host: Host, files: list[str], folder: Path) -> Release:
    """Install the stub of the oldest release that can have these packages."""
    paths = [f"{MOUNT}/{name}" for name in files]
    requires = host.run(["rpm", "--query", "--requires", "--package", *paths]).stdout
    release = oldest_release(requires.splitlines())
    install_stub(host, release, folder)
    return release


def install_stub(host: Host, release: Release, folder: Path) -> None:
    """Install the stub of a distribution's release, so that dnf takes the host for it."""
    stub = make_stub_rpm(folder, release)
    host.copy_in(stub, f"/root/{stub.name}")
    host.run(["rpm", "--install", f"/root/{stub.name}"])
    # The second is a folder of that distribution's own.
    host.run(["mkdir", "-p", "/etc/dnf/vars", "/usr/share/licenses"])
    host.write("/etc/dnf/vars/releasever", f"{release.version}\n")
