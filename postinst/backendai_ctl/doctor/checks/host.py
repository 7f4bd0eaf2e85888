"""Checks the host: files that others can read, free space, versions that differ."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from backendai_ctl.answers.secretstore import READ_BY_SERVICES
from backendai_ctl.base.account import Owner
from backendai_ctl.base.handles import set_mode, set_owner
from backendai_ctl.base.mounts import folder_problem
from backendai_ctl.base.systemd import unit_of
from backendai_ctl.base.text import lines_of
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, error, warning
from backendai_ctl.services.volumes import volumes_of

_CERTIFICATES = (".pem", ".crt", ".cer", ".cert")
_MIB = 1024 * 1024
_TIGHT = 1024 * _MIB
_FULL = 200 * _MIB
_SHARE = 0.03


def check_files(view: HostView) -> Iterator[Finding]:
    """Check that settings and secrets are root's, and readable by root and the account only."""
    for folder in (view.layout.etc, view.layout.secrets):
        try:
            paths = [folder, *sorted(path for path in folder.iterdir() if _is_ours(path))]
        except PermissionError:
            continue
        except OSError:
            continue  # nothing is configured yet, which another check reports
        for path in paths:
            yield from _look_at(view, path)


def _is_ours(path: Path) -> bool:
    """Whether it is a file; the target of a link belongs to others, such as a CA bundle."""
    return stat.S_ISREG(path.lstat().st_mode)


def _is_certificate(path: Path) -> bool:
    """Whether it has certificates and no key, which everybody may read."""
    if path.suffix not in _CERTIFICATES or path.stat().st_size > _MIB:
        return False
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return b"-----BEGIN CERTIFICATE-----" in content and b"PRIVATE KEY" not in content


def _look_at(view: HostView, path: Path) -> Iterator[Finding]:
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    shown = view.shown(path)
    is_private = path.parent == view.layout.secrets and path.name not in READ_BY_SERVICES
    wanted = mode & ~(0o077 if is_private else 0o003 if _is_certificate(path) else 0o007)

    def close() -> str:
        # What services read as others, they read as the group from now on.
        if view.account and not is_private and status.st_gid != view.account.gid:
            set_owner(path, status.st_uid, view.account.gid)
        set_mode(path, wanted)
        return f"closed {shown} to {'all but root' if is_private else 'others'}"

    remedy = f"chmod {'go' if is_private else 'o'}= {shown}"
    if mode & 0o007 & ~wanted:
        what = "every user of this host can get at it"
        yield error(what, shown, remedy, value=f"{mode:04o}", fix=close)
    elif mode != wanted:
        what = "every service can read it, and none needs to"
        yield warning(what, shown, remedy, value=f"{mode:04o}", fix=close)
    account = view.account
    if view.is_root and account and status.st_uid not in (0, Owner.caller().uid):
        is_accounts = status.st_uid == account.uid

        def take() -> str:
            assert account is not None
            set_owner(path, 0, account.gid)
            return f"gave {shown} to root and the group of the account"

        yield warning(
            "does not belong to root, so its owner can change what the services do",
            shown,
            f"chown root:{view.account_name} {shown}",
            value=f"uid {status.st_uid}",
            fix=take if is_accounts else None,
        )


def check_room(view: HostView) -> Iterator[Finding]:
    """Check the free space of the disks that services, packages and Docker write to."""
    seen: set[int] = set()
    paths = [volume.path for volume in volumes_of(view.site)] if view.site else []
    for name in ("/var/lib/backendai", "/opt", "/var/lib/docker", *paths):
        place = view.path(name)
        if folder_problem(place):
            continue
        try:
            device, room = place.stat().st_dev, os.statvfs(place)
        except OSError:
            continue
        if device in seen:
            continue
        seen.add(device)
        left = room.f_bavail * room.f_frsize
        share = left / (room.f_blocks * room.f_frsize or 1)
        value = f"{left // _MIB} MiB left"
        remedy = "make room, or a larger disk"
        if left < _FULL:
            yield error("the disk is full", name, remedy, value=value)
        elif left < _TIGHT and share < _SHARE:
            yield warning("the disk is nearly full", name, remedy, value=value)


def package_versions(view: HostView) -> dict[str, str]:
    """Return every installed package of Backend.AI with its version, from any package manager."""
    commands = (
        ["dpkg-query", "--show", "--showformat=${Package} ${Version} ${db:Status-Status}\\n",
         "backendai-*"],
        ["rpm", "-qa", "--queryformat=%{NAME} %{VERSION}-%{RELEASE} installed\\n", "backendai-*"],
    )  # fmt: skip
    found: dict[str, str] = {}
    for command in commands:
        for line in lines_of(view.run(command).stdout):
            words = line.split()
            if len(words) == 3 and words[2] == "installed":  # noqa: PLR2004
                found[words[0]] = words[1]
    return found


def check_versions(view: HostView) -> Iterator[Finding]:
    """Check that all packages, and the running processes, are of one release."""
    versions = package_versions(view)
    releases = {
        name: version.rpartition("-")[0] or version
        for name, version in versions.items()
        if not name.endswith(("-keyring", "-halfstack"))
    }
    if len(set(releases.values())) > 1:
        listed = ", ".join(f"{name} {version}" for name, version in sorted(releases.items()))
        yield error(
            "packages of different releases are installed together",
            "this host",
            "upgrade all to one release",
            value=listed,
        )
    for recipe in view.recipes:
        if view.is_active(recipe.service) and view.runs_replaced(recipe.service):
            yield warning(
                f"{recipe.service} still runs what an upgrade has replaced",
                unit_of(recipe.service),
                f"systemctl restart {unit_of(recipe.service)}",
            )
