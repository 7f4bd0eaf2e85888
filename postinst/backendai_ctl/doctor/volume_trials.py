"""Trials of a volume before its first use: what the storage proxy and sessions do with files.

Each trial runs in a process of its own, with a time limit, in a hidden folder that the next run
removes if a kill has left it.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.base.account import Owner, is_root
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.mounts import ask_in_time, folder_problem, list_mounts, mount_of
from backendai_ctl.base.words import Word
from backendai_ctl.doctor.trial_names import remove_trials, trial_at

_SECONDS = 10.0
_MIB = 1024 * 1024
_HOLE = 64 * _MIB
_PROGRAM = 0o750
_ROOM = 1024 * _MIB
_FILES = 10_000
_SKEW_SECONDS = 2.0
_WARN = "warning: "  # what a trial says of what only some need


class Verdict(Word):
    """The result of one trial."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row: what was tried, whether it works, and the reason or the value."""

    check: str
    verdict: Verdict
    detail: str = ""

    def as_table(self) -> dict[str, str]:
        """Return the row for --json."""
        return {"check": self.check, "result": self.verdict.value, "detail": self.detail}


def try_volume(layout: Layout, path: str, point: str, account: Owner) -> list[Result]:
    """Return a row for each trial of the volume at ``path``, which needs the mount ``point``.

    Without a folder that is mounted there is nothing to try.
    """
    place = layout.place(path)
    found = [*_entrance(layout, path, point)]
    if all(result.verdict is not Verdict.FAILED for result in found):
        found += [_try(check, place, account, trial) for check, trial in _TRIALS.items()]
        _sweep(place, account)
    return found


def _entrance(layout: Layout, path: str, point: str) -> Iterator[Result]:
    mounts = list_mounts(layout)
    if point and point not in {mount.at for mount in mounts}:
        detail = f"{point} is not mounted: mount {point}"
        yield Result(check="mounted", verdict=Verdict.FAILED, detail=detail)
        return
    mount = mount_of(mounts, path)
    detail = f"{mount.kind} at {mount.at}" if mount else ""
    yield Result(check="mounted", verdict=Verdict.OK, detail=detail)
    problem = folder_problem(layout.place(path))
    verdict = Verdict.FAILED if problem else Verdict.OK
    yield Result(check="folder", verdict=verdict, detail=problem or path)
    if mount and "ro" in mount.options:
        detail = "mounted read-only: mount -o remount,rw"
        yield Result(check="options", verdict=Verdict.FAILED, detail=detail)
    elif mount and "noexec" in mount.options:
        detail = "noexec: sessions cannot run programs from their folders"
        yield Result(check="options", verdict=Verdict.WARNING, detail=detail)


Trial = Callable[[Path, Owner], str]


def _try(check: str, place: Path, account: Owner, trial: Trial) -> Result:
    """Run one trial in a child; it returns nothing, a value after "=", or what is wrong."""
    said = ask_in_time(lambda: trial(place, account), seconds=_SECONDS)
    if said is None:
        detail = f"no answer within {_SECONDS:.0f} s"
        return Result(check=check, verdict=Verdict.FAILED, detail=detail)
    if said.startswith(_WARN):
        return Result(check=check, verdict=Verdict.WARNING, detail=said.removeprefix(_WARN))
    if said and not said.startswith("="):
        return Result(check=check, verdict=Verdict.FAILED, detail=said)
    return Result(check=check, verdict=Verdict.OK, detail=said.removeprefix("="))


def _sweep(place: Path, account: Owner) -> None:
    """Remove the scratch folders, in children: the server may have died meanwhile."""

    def remove(owner: Owner) -> str:
        _become(owner)
        remove_trials(place)
        return ""

    for owner in (account, Owner(uid=0, gid=0)):
        ask_in_time(lambda owner=owner: remove(owner), seconds=_SECONDS)  # type: ignore[misc]


def _become(owner: Owner) -> None:
    if is_root():
        os.setgroups([])
        os.setresgid(owner.gid, owner.gid, owner.gid)
        os.setresuid(owner.uid, owner.uid, owner.uid)


@contextlib.contextmanager
def _scratch(place: Path, owner: Owner) -> Iterator[Path]:
    """Yield a new folder of ``owner``, who runs this process from now on."""
    _become(owner)
    folder = trial_at(place)
    shutil.rmtree(folder, ignore_errors=True)  # of a trial that got no answer
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(place: Path, account: Owner) -> str:
    with _scratch(place, account) as folder:
        file = folder / "file"
        file.write_bytes(b"text")
        if file.read_bytes() != b"text":
            return "what is read is not what was written"
    return ""


def _owner(place: Path, account: Owner) -> str:
    with _scratch(place, account) as folder:
        (folder / "file").touch()
        found = (folder / "file").stat()
    got, wanted = f"{found.st_uid}:{found.st_gid}", f"{account.uid}:{account.gid}"
    if got == wanted:
        return f"={got}"
    return f"files of {wanted} belong to {got}: the same uid and gid on server and clients"


def _root(place: Path, account: Owner) -> str:
    """The agent runs as root and gives what it makes to the account."""
    if not is_root():
        return f"{_WARN}only root can try it: use sudo"
    try:
        with _scratch(place, Owner(uid=0, gid=0)) as folder:
            file = folder / "file"
            file.touch()
            if file.stat().st_uid != 0:
                owner = file.stat().st_uid
                return (
                    f"{_WARN}root is squashed to {owner}: export it with no_root_squash to agents"
                )
            os.chown(file, account.uid, account.gid)
    except OSError as error:
        reason = (error.strerror or "").lower()
        return f"{_WARN}root cannot write or chown ({reason}), as under root_squash"
    return ""


def _rename(place: Path, account: Owner) -> str:
    with _scratch(place, account) as folder:
        (folder / "a").write_bytes(b"new")
        (folder / "b").write_bytes(b"old")
        (folder / "a").rename(folder / "b")
        (folder / "sub").mkdir()
        (folder / "sub").rename(folder / "other")
        return "" if (folder / "b").read_bytes() == b"new" else "does not replace the target"


def _link(place: Path, account: Owner) -> str:
    with _scratch(place, account) as folder:
        (folder / "a").write_bytes(b"x")
        try:
            os.link(folder / "a", folder / "b")
        except OSError as error:
            return f"{_WARN}no hard links ({(error.strerror or '').lower()}): packagers need them"
        (folder / "c").symlink_to("a")
        return "" if (folder / "c").read_bytes() == b"x" else "a symbolic link does not lead"


def _lock(place: Path, account: Owner) -> str:
    with _scratch(place, account) as folder, (folder / "file").open("wb") as one:
        try:
            fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with (folder / "file").open("wb") as other:
                try:
                    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return ""
        except OSError as error:
            return f"{_WARN}no locks ({(error.strerror or '').lower()})"
    return f"{_WARN}a lock does not exclude another"


def _xattr(place: Path, account: Owner) -> str:
    with _scratch(place, account) as folder:
        (folder / "file").touch()
        try:
            os.setxattr(folder / "file", "user.backendai", b"x")
        except OSError as error:
            return f"{_WARN}no extended attributes ({(error.strerror or '').lower()})"
    return ""


def _sparse(place: Path, account: Owner) -> str:
    with _scratch(place, account) as folder:
        file = folder / "file"
        with file.open("wb") as stream:
            stream.truncate(_HOLE)
            stream.flush()
        if file.stat().st_blocks * 512 > _HOLE // 2:
            return f"{_WARN}holes take room: an upload takes its whole size at once"
    return ""


def _mode(place: Path, account: Owner) -> str:
    with _scratch(place, account) as folder:
        file = folder / "program"
        file.write_bytes(b"#!/bin/sh\n")
        file.chmod(_PROGRAM)
        mode = stat.S_IMODE(file.stat().st_mode)
        return "" if mode == _PROGRAM else f"chmod {_PROGRAM:o} gives {mode:o}"


def _space(place: Path, _: Owner) -> str:
    room = os.statvfs(place)
    free = room.f_bavail * room.f_frsize
    shown = f"{free // _MIB} MiB free"
    if room.f_files:
        shown += f", room for {room.f_favail} files"
    is_tight = free < _ROOM or (room.f_files and room.f_favail < _FILES)
    return f"{_WARN}{shown}" if is_tight else f"={shown}"


def _clock(place: Path, account: Owner) -> str:
    with _scratch(place, account) as folder:
        before = time.time()
        (folder / "file").write_bytes(b"x")
        skew = (folder / "file").stat().st_mtime - before
    shown = f"{skew:+.1f} s to this host"
    return f"={shown}" if abs(skew) <= _SKEW_SECONDS else f"{_WARN}{shown}: chrony on both"


_TRIALS: dict[str, Trial] = {
    "write": _write,
    "owner": _owner,
    "root": _root,
    "rename": _rename,
    "link": _link,
    "mode": _mode,
    "lock": _lock,
    "xattr": _xattr,
    "sparse": _sparse,
    "space": _space,
    "clock": _clock,
}
