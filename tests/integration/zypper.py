"""zypper on a host that a stub makes openSUSE; stub.py says what this proves."""

from builder.verify.hosts import Host
from tests.integration.dnf import REPOSITORY

_TIMEOUT_S = 420
_REPO_FILE = f"""\
[packages-under-test]
name=Packages under test
type=rpm-md
baseurl=file://{REPOSITORY}
enabled=1
gpgcheck=0
"""


def know_repository(host: Host) -> None:
    """Write the file by which zypper finds the repository that dnf.py makes."""
    host.run(["mkdir", "-p", "/etc/zypp/repos.d"])
    host.write("/etc/zypp/repos.d/packages-under-test.repo", _REPO_FILE)


def zypper(host: Host, *arguments: str) -> str:
    """Call zypper without questions; return all that it printed."""
    command = ["zypper", "--non-interactive", "--no-gpg-checks", *arguments]
    done = host.run(command, timeout=_TIMEOUT_S)
    return done.stdout + done.stderr
