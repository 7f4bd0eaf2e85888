"""Checks the volume of users' folders: mounted, the same for every service, the account's."""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from backendai_ctl.base.account import Owner, is_root
from backendai_ctl.base.files import Writer
from backendai_ctl.base.handles import set_owner
from backendai_ctl.base.text import fields_of, read_lines, unescaped
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, error, note, warning

_NOBODY = 65534
_TRIAL = ".backendai-doctor"


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A mount as the kernel lists it."""

    at: str
    kind: str


def check_volume(view: HostView) -> Iterator[Finding]:
    """Check every volume that site.toml or a service's configuration names."""
    wanted = view.answer("storage.path")
    if not wanted or not any(recipe.health.volumes for recipe in view.recipes):
        return
    for where, path, kind in _named(view):
        expected = str(PurePosixPath(wanted).parent) if kind == "parent" else wanted
        if path != expected and not (kind != "parent" and wanted in _paths(view)):
            yield warning(
                f"another path than site.toml's storage.path, {wanted}",
                where,
                "give every service and every node the same path",
                value=path,
            )
    for path in sorted(_paths(view) or {wanted}):
        yield from _look_at(view, path)


def _named(view: HostView) -> Iterator[tuple[str, str, str]]:
    for recipe in view.recipes:
        config = view.configs.get(recipe.service)
        for pattern, kind in recipe.health.volumes.items() if config else ():
            assert config is not None
            for key, value in _match(config.table, pattern.split(".")):
                yield f"{config.label}: {key}", str(value).rstrip("/"), kind


def _paths(view: HostView) -> set[str]:
    return {path for _, path, kind in _named(view) if kind != "parent"}


def _match(table: Mapping[str, object], names: list[str]) -> Iterator[tuple[str, object]]:
    head, *rest = names
    for key in table if head == "*" else [head]:
        value = table.get(key)
        if not rest and value is not None:
            yield key, value
        elif rest and isinstance(value, Mapping):
            yield from ((f"{key}.{below}", found) for below, found in _match(value, rest))


def _look_at(view: HostView, path: str) -> Iterator[Finding]:
    place = view.path(path)
    listed = {
        mount_point
        for mount_point in _fstab(view)
        if PurePosixPath(path).is_relative_to(mount_point)
    }
    mounts = _mounts(view)
    for missing in sorted(listed - {mount.at for mount in mounts}):
        yield error(
            f"{missing} is in /etc/fstab and not mounted: what is written goes to the disk below",
            path,
            f"mount {missing}, after moving away what lies below it",
        )
    if not place.is_dir():
        yield error("the volume is missing", path, f"mount it, or make it and chown it: {path}")
        return
    yield from _owner(view, path, place)
    mount = _mount_of(mounts, path)
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
        others = [path_below for path_below in marker.parent.iterdir() if path_below.name != _TRIAL]

        def make() -> str:
            assert account is not None
            Writer(owner=account).create(marker, text)
            return f"made {path}/{marker.name}"

        yield error(
            f"has no {marker.name}, by which Backend.AI knows the layout of its folders",
            path,
            f"echo {text.strip()} >{path}/{marker.name}, unless an older release filled it",
            fix=make if account and view.is_root and not others else None,
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
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.write(writer, _trial(place, owner).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8", errors="replace") as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


def _trial(place: Path, owner: Owner) -> str:
    trial = place / f"{_TRIAL}-{owner.uid}"
    try:
        if is_root():
            os.setgroups([])
            os.setresgid(owner.gid, owner.gid, owner.gid)
            os.setresuid(owner.uid, owner.uid, owner.uid)
        # A file that a killed run left.
        with contextlib.suppress(FileNotFoundError):
            trial.unlink()
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


def _fstab(view: HostView) -> set[str]:
    found: set[str] = set()
    for line in _lines(view.path("/etc/fstab")):
        fields = fields_of(line)
        if len(fields) < 2 or fields[0].startswith("#"):  # noqa: PLR2004
            continue
        if fields[1] not in ("/", "none", "swap"):
            found.add(unescaped(fields[1]).rstrip("/"))
    return found


def _mounts(view: HostView) -> list[Mount]:
    found = []
    for line in _lines(view.path("/proc/self/mountinfo")):
        before, dash, after = line.partition(" - ")
        if dash:
            found.append(Mount(at=unescaped(fields_of(before)[4]), kind=fields_of(after)[0]))
    return found


def _mount_of(mounts: list[Mount], path: str) -> Mount | None:
    """Return the innermost mount that has ``path``; of several at one place, the last."""
    above = [mount for mount in mounts if PurePosixPath(path).is_relative_to(mount.at)]
    return max(reversed(above), key=lambda mount: len(mount.at), default=None)


def _lines(path: Path) -> list[str]:
    try:
        return read_lines(path)
    except OSError:
        return []
