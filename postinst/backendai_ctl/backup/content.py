"""The files that a backup holds: secrets and configuration, with types, owners and modes."""

import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from backendai_ctl.base.errors import HostError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.temporary import is_temporary

FILES = "files"


@dataclass(frozen=True, kw_only=True)
class KeptFolder:
    """A folder that is backed up; ``mode`` is that of a folder that a restore has to create."""

    path: Path
    mode: int = 0o750
    readable: str = ""  # the suffix of the files that every user may read

    def mask(self, name: str) -> int:
        """Return the permissions that a file or a link of this name may have after a restore."""
        return 0o774 if self.readable and name.endswith(self.readable) else 0o770


def kept_folders(layout: Layout) -> tuple[KeptFolder, ...]:
    """Return the folders that are backed up, and the only ones that a restore writes to."""
    return (
        *(KeptFolder(path=path) for path in (layout.etc, layout.secrets, layout.credentials)),
        # The node's own authority: without its key, users would have to trust another one.
        KeptFolder(path=layout.tls, mode=0o755, readable=".pem"),
    )


def add_files(tar: tarfile.TarFile, layout: Layout, say: Callable[[str], None]) -> None:
    """Add every file below the kept folders; report files that cannot be restored."""
    for folder in kept_folders(layout):
        for path in _below(folder.path):
            name = f"{FILES}/{path.relative_to(layout.root)}"
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                say(f"{path} is a link to {path.readlink()}: the backup has the link alone")
                tar.add(path, name, recursive=False)
            elif stat.S_ISDIR(status.st_mode):
                tar.add(path, name, recursive=False)
            elif stat.S_ISREG(status.st_mode):
                _add_file(tar, path, name)
            else:
                say(f"left out {path}: neither a file, a folder nor a link")


def _below(folder: Path) -> Iterator[Path]:
    """Yield the paths below ``folder``, which may itself be a link; no other link is followed."""
    if not folder.is_dir():
        return
    for above, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            if not is_temporary(name):
                yield Path(above) / name


def _add_file(tar: tarfile.TarFile, path: Path, name: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as stream:
        member = tar.gettarinfo(arcname=name, fileobj=stream)
        if member.islnk():  # a second name of a file: each name becomes a file of its own
            member.type = tarfile.REGTYPE
            member.size = os.fstat(stream.fileno()).st_size
        tar.addfile(member, stream)


@dataclass(frozen=True, kw_only=True)
class KeptFile:
    """A file, folder or link of a backup, with its properties on the host."""

    path: PurePosixPath  # below the host's root
    kind: str  # "file", "folder" or "link"
    mode: int
    uid: int
    gid: int
    link: str = ""


def read_member(member: tarfile.TarInfo, layout: Layout) -> KeptFile:
    """Return what a member of an archive restores; HostError for a member that no backup has."""
    path = PurePosixPath(member.name).relative_to(FILES)
    tops = {
        PurePosixPath(folder.path.relative_to(layout.root)): folder
        for folder in kept_folders(layout)
    }
    # One of these folders itself is never replaced by a file or a link.
    inside = path in tops if member.isdir() else False
    top = next((folder for top, folder in tops.items() if top in path.parents), None)
    if ".." in path.parts or not (inside or top):
        raise HostError(f"{path}: outside of the folders that a backup contains")
    kinds = {tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "folder"}
    kind = "link" if member.issym() else kinds.get(member.type)
    if kind is None:
        raise HostError(f"{path}: neither a file, a folder nor a link")
    return KeptFile(
        path=path,
        kind=kind,
        # Certificates alone are for others to read, and nothing runs as another user.
        mode=member.mode & (top.mask(path.name) if top and kind == "file" else 0o770),
        uid=member.uid,
        gid=member.gid,
        link=member.linkname if kind == "link" else "",
    )
