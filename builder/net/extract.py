"""Unpacks archives from outside: no file lands, or points, outside the target.

Written by hand rather than with ``extractall``: each member is checked against the
earlier ones, sizes are bounded while they are read, and the result appears by rename.
Modes are 0755 or 0644, hard links become copies, owners are dropped.
"""

import gzip
import lzma
import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NoReturn

import zstandard

from builder.base.errors import PayloadError
from builder.base.files import check_file_name
from builder.base.storage import storage_guard
from builder.net.tarstream import CHUNK, BoundedReader, open_stream, open_tar, read_members

MAX_BYTES = 4 << 30
MAX_MEMBERS = 100_000
_LONGEST_PATH = 2048  # bytes; the whole of it must fit into 4,096
_LATEST = 2**32  # seconds since 1970; most file systems hold that
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, ValueError)


def extract_tar(  # noqa: PLR0913 - all but two by keyword
    archive: Path,
    target: Path,
    *,
    strip: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_members: int = MAX_MEMBERS,
    links_below: PurePosixPath | None = None,
) -> None:
    """Unpack a tar (plain, gz, xz or zst) into ``target``, which is absent or empty.

    ``strip`` names the folder in which all members must lie, and which is left out.
    With ``links_below`` a link may also point to an absolute path below that folder of a target.
    Raises PayloadError naming archive and member, and leaves nothing behind.
    """
    with storage_guard(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            tree = work / "tree"
            tree.mkdir()
            unpacking = _Unpacking(
                archive, tree, strip, max_bytes=max_bytes, links_below=links_below
            )
            unpacking.run(max_members)
            tree.chmod(0o755)
            tree.replace(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def check_links(root: Path, name: str, links_below: PurePosixPath | None = None) -> None:
    """Raise PayloadError if a symbolic link below ``root`` points out of it.

    ``name`` stands for the tree in the message.
    """
    real = root.resolve()
    for folder, folders, files in os.walk(root):
        for entry in (*folders, *files):
            path = Path(folder, entry)
            if not path.is_symlink() or _is_of_target(str(path.readlink()), links_below):
                continue
            # A link may climb through another link, so only following them shows where it leads.
            pointed = Path(os.path.realpath(path))
            if links_below is not None and pointed.is_relative_to(links_below):
                continue  # through a link to the target
            if path.readlink().is_absolute() or not pointed.is_relative_to(real):
                where = str(path.relative_to(root))
                _refuse(name, where, f"is a link out of it, to {str(path.readlink())!r}")


class _Unpacking:
    """One archive on its way into ``tree``."""

    def __init__(
        self,
        archive: Path,
        tree: Path,
        strip: str | None,
        *,
        max_bytes: int,
        links_below: PurePosixPath | None = None,
    ) -> None:
        self.archive = archive
        self.tree = tree
        self.strip = PurePosixPath(strip) if strip else None
        self.max_bytes = max_bytes
        self.links_below = links_below
        self.written = 0
        self.member = ""
        # The paths made from this archive so far; True for a folder.
        self.made: dict[PurePosixPath, bool] = {PurePosixPath(): True}

    def run(self, max_members: int) -> None:
        try:
            with open_stream(self.archive) as stream, open_tar(stream) as tar:
                for count, member in enumerate(read_members(tar, stream), start=1):
                    if count > max_members:
                        self.refuse(f"is one too many: at most {max_members} are taken")
                    self.member = member.name
                    self.take(tar, member, stream)
        except (*_DAMAGE, zstandard.ZstdError) as error:
            after = f" after {self.member}" if self.member else ""
            raise PayloadError(
                f"{self.archive}: cannot be unpacked{after}: {error}",
                hint="the archive is damaged or no tar of gz, xz or zst: fetch it again",
            ) from error
        if len(self.made) == 1:
            raise PayloadError(f"{self.archive}: the archive is empty")
        check_links(self.tree, str(self.archive), self.links_below)

    def take(self, tar: tarfile.TarFile, member: tarfile.TarInfo, stream: "BoundedReader") -> None:
        place = self.place(member.name)
        if place is None:
            if not member.isdir():
                self.refuse("is no folder, but lies where one is needed")
            return
        self.make_parents(place.parent)
        if member.isdir():
            self.make_folder(place)
        elif place in self.made:
            self.refuse("is there twice")
        elif member.isreg():
            self.write_file(tar, member, place, stream)
        elif member.issym():
            self.write_link(member, place)
        elif member.islnk():
            self.copy_linked(member, place)
        else:
            self.refuse("is a device, a pipe or of an unknown kind")

    def place(self, name: str) -> PurePosixPath | None:
        """Return the place of ``name`` below the tree; None for the tree itself and above."""
        path = PurePosixPath(name)
        if path.is_absolute():
            self.refuse("is an absolute path")
        if ".." in path.parts:
            self.refuse("climbs with '..'")
        try:
            too_long = len(os.fsencode(name)) > _LONGEST_PATH
            for part in path.parts:
                check_file_name(part)
        except ValueError as error:
            self.refuse(f"has a name that no file can have: {error}")
        if too_long:
            self.refuse(f"has a path of more than {_LONGEST_PATH} bytes")
        if self.strip is None:
            return path if path.parts else None
        if self.strip.is_relative_to(path):
            return None
        if not path.is_relative_to(self.strip):
            self.refuse(f"is not below {self.strip}/")
        return path.relative_to(self.strip)

    def make_parents(self, folder: PurePosixPath) -> None:
        for parent in (*reversed(folder.parents), folder):
            self.make_folder(parent)

    def make_folder(self, folder: PurePosixPath) -> None:
        kind = self.made.get(folder)
        if kind is None:
            path = self.tree / folder
            path.mkdir()
            path.chmod(0o755)
            self.made[folder] = True
        elif not kind:
            # Even if an earlier member is a link: no file is written through a link.
            self.refuse(f"needs the folder {folder}, which is a file or link in the archive")

    def write_file(
        self,
        tar: tarfile.TarFile,
        member: tarfile.TarInfo,
        place: PurePosixPath,
        stream: "BoundedReader",
    ) -> None:
        self.count(member.size)
        stream.allow(member.size + 2 * CHUNK)  # it is read ahead by chunks
        source = tar.extractfile(member)
        if source is None:
            self.refuse("has no content")
        path = self.tree / place
        with source, path.open("xb") as file:
            shutil.copyfileobj(source, file, CHUNK)
        self.finish(path, place, member)

    def copy_linked(self, member: tarfile.TarInfo, place: PurePosixPath) -> None:
        linked = self.place(member.linkname)
        source = self.tree / linked if linked is not None else None
        if source is None or self.made.get(linked or place) is not False or source.is_symlink():
            self.refuse(f"is a hard link to {member.linkname!r}, no file unpacked before it")
        self.count(source.stat().st_size)
        path = self.tree / place
        shutil.copyfile(source, path)
        self.finish(path, place, member, mode=source.stat().st_mode)

    def write_link(self, member: tarfile.TarInfo, place: PurePosixPath) -> None:
        if _is_of_target(member.linkname, self.links_below):
            (self.tree / place).symlink_to(member.linkname)
            self.made[place] = False
            return
        if member.linkname.startswith("/") or not member.linkname or "\0" in member.linkname:
            self.refuse(f"is a link out of the archive, to {member.linkname!r}")
        depth = len(place.parts) - 1
        for part in PurePosixPath(member.linkname).parts:
            depth += -1 if part == ".." else 1
            if depth < 0:
                self.refuse(f"is a link out of the archive, to {member.linkname!r}")
        (self.tree / place).symlink_to(member.linkname)
        self.made[place] = False

    def finish(
        self, path: Path, place: PurePosixPath, member: tarfile.TarInfo, *, mode: int | None = None
    ) -> None:
        executable = (member.mode if mode is None else mode) & 0o111
        path.chmod(0o755 if executable else 0o644)
        # Kept for programs such as make, which compares them.
        when = _seconds(member.mtime)
        os.utime(path, (when, when))
        self.made[place] = False

    def count(self, size: int) -> None:
        self.written += size
        if self.written > self.max_bytes:
            self.refuse(f"makes the archive larger than {self.max_bytes} bytes unpacked")

    def refuse(self, reason: str) -> NoReturn:
        _refuse(str(self.archive), self.member, reason)


def _is_of_target(link: str, below: PurePosixPath | None) -> bool:
    """Return whether a link leads to an absolute path below a folder of the target."""
    path = PurePosixPath(link)
    return (
        below is not None and "\0" not in link and ".." not in path.parts and below in path.parents
    )


def _seconds(mtime: float) -> int:
    """Return a header's time as a file can have it; 0 for nan and times out of range."""
    return int(mtime) if 0 <= mtime <= _LATEST else 0


def _refuse(archive: str, member: str, reason: str) -> NoReturn:
    raise PayloadError(
        f"{archive}: member {member!r} {reason}",
        hint="the archive is not what it should be: do not use it, and check where it is from",
    )
