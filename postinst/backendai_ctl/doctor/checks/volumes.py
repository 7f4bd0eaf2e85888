"""Checks the volumes of users' folders: mounted, the same for every service, the account's."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from backendai_ctl.base.account import Owner, is_root
from backendai_ctl.base.files import Writer
from backendai_ctl.base.handles import set_owner
from backendai_ctl.base.mounts import (
    NO_FOLDER,
    Mount,
    ask_in_time,
    folder_problem,
    is_below,
    list_mounts,
    mount_of,
    planned_mounts,
)
from backendai_ctl.base.temporary import is_temporary
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, error, note, warning
from backendai_ctl.doctor.trial_names import is_trial, remove_trials, trial_at
from backendai_ctl.services.volumes import volumes_of

_NOBODY = 65534
_TRIAL_SECONDS = 10.0


def check_volume(view: HostView) -> Iterator[Finding]:
    """Check every volume that site.toml or a service's configuration names."""
    wanted = [volume.path for volume in volumes_of(view.site)] if view.site else []
    if not wanted or not any(recipe.health.volumes for recipe in view.recipes):
        return
    yield from _compare(view, wanted)
    broken = view.mount_problems
    for path in sorted(_paths(view) or set(wanted)):
        if path in broken:
            yield error(
                broken[path],
                path,
                "mount it, then restart what runs: systemctl restart backendai-storage-proxy",
            )
        else:
            yield from _look_at(view, path)


def _compare(view: HostView, wanted: list[str]) -> Iterator[Finding]:
    """Compare the paths in the services' configurations with site.toml's."""
    lacking = [path for path in wanted if path not in _paths(view)]
    for where, path, kind in _named(view):
        expected = str(PurePosixPath(wanted[0]).parent) if kind == "parent" else wanted[0]
        is_other = path != expected if kind == "parent" else path not in wanted
        if is_other and (kind == "parent" or lacking):
            yield warning(
                f"another path than site.toml's storage.path, {wanted[0]}",
                where,
                "give every service and every node the same path",
                value=path,
            )
    for path in lacking if len(wanted) > 1 and _paths(view) else ():
        yield warning(
            f"site.toml has the volume {path}, and no service's configuration has it",
            path,
            "backendai-ctl configure storage-proxy, and take over what FILE.new has more, if "
            "the file was edited; then systemctl restart backendai-storage-proxy",
        )


def _named(view: HostView) -> Iterator[tuple[str, str, str]]:
    for recipe in view.recipes:
        config = view.configs.get(recipe.service)
        for pattern, kind in recipe.health.volumes.items() if config else ():
            assert config is not None
            for key, value in config.matches(pattern):
                yield f"{config.label}: {key}", str(value).rstrip("/"), kind


def _paths(view: HostView) -> set[str]:
    return {path for _, path, kind in _named(view) if kind != "parent"}


def _look_at(view: HostView, path: str) -> Iterator[Finding]:
    place = view.path(path)
    listed = {point for point in planned_mounts(view.layout) if is_below(path, point)}
    mounts = list_mounts(view.layout)
    for missing in sorted(listed - {mount.at for mount in mounts}):
        yield error(
            f"{missing} is in /etc/fstab and not mounted: what is written goes to the disk below",
            path,
            f"mount {missing}, after moving away what lies below it",
        )
    problem = folder_problem(place)
    if problem:
        what = "the volume is missing" if problem == NO_FOLDER else f"the volume {problem}"
        yield error(what, path, f"mount it, or make it and chown it: {path}")
        return
    yield from _owner(view, path, place)
    mount = mount_of(mounts, path)
    if view.is_root and view.account:
        yield from _try(view, path, place, view.account, mount)
    for recipe in view.recipes:
        for folder in recipe.folders:
            for name, text in folder.files.items():
                yield from _marker(view, path, place / name, text)


def _owner(view: HostView, path: str, place: Path) -> Iterator[Finding]:
    status = place.stat()
    owner = Owner(uid=status.st_uid, gid=status.st_gid)
    if view.account is None or owner == view.account:
        return
    wanted = f"{view.account.uid}:{view.account.gid}"
    # A volume with content may be right, and this node's account wrong.
    is_empty = view.is_root and not any(place.iterdir())

    def give() -> str:
        assert view.account is not None
        set_owner(place, view.account.uid, view.account.gid)
        return f"gave {path} to {wanted}"

    yield error(
        f"belongs to {owner.uid}:{owner.gid}, the services run as {wanted}",
        path,
        f"chown {wanted} {path}, or set [account] in site.toml to its owner on all nodes",
        value=f"{owner.uid}:{owner.gid}",
        fix=give if is_empty else None,
    )


def _try(
    view: HostView, path: str, place: Path, account: Owner, mount: Mount | None
) -> Iterator[Finding]:
    """Write as the account, since modes alone do not prove that it can; as root, too, on NFS."""
    problem = _write_as(place, account)
    if problem:
        yield error(
            f"{view.account_name} cannot write there: {problem}",
            path,
            "give the volume to the account, and look at the server's export options",
            value=f"{account.uid}:{account.gid}",
        )
    if mount is None or not mount.kind.startswith("nfs"):
        return
    problem = _write_as(place, Owner(uid=0, gid=0))
    if problem:
        yield warning(
            f"root is squashed by the NFS server ({problem}): the agent, which runs as root, "
            "and chown on this node fail",
            path,
            "export it with no_root_squash to the nodes with an agent, or be sure that "
            "every folder on it already belongs to the account",
            value=mount.kind,
        )


def _marker(view: HostView, path: str, marker: Path, text: str) -> Iterator[Finding]:
    try:
        found = marker.read_text(encoding="utf-8")
    except FileNotFoundError:
        account = view.account
        names = [found.name for found in marker.parent.iterdir()]
        is_empty = all(is_trial(name) or is_temporary(name) for name in names)

        def make() -> str:
            assert account is not None
            Writer(owner=account).create(marker, text)
            return f"made {path}/{marker.name}"

        yield error(
            f"has no {marker.name}, by which Backend.AI knows the layout of its folders",
            path,
            f"echo {text.strip()} >{path}/{marker.name}, unless an older release filled it",
            fix=make if account and view.is_root and is_empty else None,
        )
        return
    except (OSError, UnicodeDecodeError):
        return
    if found.strip() != text.strip():
        yield note(
            f"has another layout than this release makes, {text.strip()}",
            f"{path}/{marker.name}",
            "see the release's notes on migrating volumes",
            value=found.strip()[:20],
        )


def _write_as(place: Path, owner: Owner) -> str:
    """Create, chown and remove a file as ``owner`` in a child; return the error, or nothing."""
    said = ask_in_time(lambda: _trial(place, owner), seconds=_TRIAL_SECONDS)
    return f"no answer within {_TRIAL_SECONDS:.0f} s" if said is None else said


def _trial(place: Path, owner: Owner) -> str:
    try:
        if is_root():
            os.setgroups([])
            os.setresgid(owner.gid, owner.gid, owner.gid)
            os.setresuid(owner.uid, owner.uid, owner.uid)
        remove_trials(place)
        trial = trial_at(place)
        descriptor = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            made = os.fstat(descriptor)
            os.fchown(descriptor, owner.uid, owner.gid)
        finally:
            os.close(descriptor)
            trial.unlink()
    except OSError as problem:
        return problem.strerror or str(problem)
    if made.st_uid != owner.uid:
        mapped = "nobody" if made.st_uid == _NOBODY else str(made.st_uid)
        return f"what {owner.uid} writes belongs to {mapped}"
    return "" if stat.S_ISREG(made.st_mode) else "made no file"
