"""The commands of each package manager, without questions. Pure."""

from collections.abc import Sequence

from builder.verify.distributions import Manager

Words = list[str]
_APT = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--no-install-recommends"]
_DNF = ["dnf", "--assumeyes", "--setopt=install_weak_deps=False"]
_ZYPPER = ["zypper", "--non-interactive", "--no-gpg-checks"]


def refresh(manager: Manager) -> Words:
    """Fetch the lists of available packages."""
    return {
        Manager.APT: [*_APT, "update"],
        Manager.DNF: [*_DNF, "makecache"],
        Manager.ZYPPER: [*_ZYPPER, "refresh"],
    }[manager]


def install(manager: Manager, names: Sequence[str]) -> Words:
    """Install packages by name, or files by path, with their dependencies."""
    return {
        Manager.APT: [*_APT, "install", *names],
        Manager.DNF: [*_DNF, "--nogpgcheck", "install", *names],
        Manager.ZYPPER: [*_ZYPPER, "install", "--allow-unsigned-rpm", "--no-recommends", *names],
    }[manager]


def remove(manager: Manager, names: Sequence[str]) -> Words:
    """Remove packages, but not the dependencies that only they needed."""
    return {
        Manager.APT: [*_APT, "remove", *names],
        Manager.DNF: [*_DNF, "--setopt=clean_requirements_on_remove=False", "remove", *names],
        Manager.ZYPPER: [*_ZYPPER, "remove", *names],
    }[manager]


def purge(manager: Manager, names: Sequence[str]) -> Words | None:
    """Remove configuration and state, too; None if the manager cannot."""
    # Not by apt, which forgets a package that left nothing behind when it was removed.
    return ["dpkg", "--purge", *names] if manager is Manager.APT else None


def installed(manager: Manager) -> str:
    """Return a script that prints the names of all installed packages."""
    if manager is Manager.APT:
        form = "${db:Status-Status} ${Package}\\n"
        return f"dpkg-query --show --showformat='{form}' | sed -n 's/^installed //p'"
    return "rpm --query --all --queryformat '%{NAME}\\n'"
