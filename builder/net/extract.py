"""Unpacking archives from outside: nothing lands, or points, beside the target.

Written by hand rather than with ``extractall``: each member is checked against what
is already there, sizes are bounded while they are read, and the result appears by
rename. Modes are 0755 or 0644, hard links become copies, owners are dropped.
"""

import gzip
import io
import lzma
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NoReturn, Self

import zstandard

from builder.base.cache import storage_guard
from builder.base.errors import PayloadError

MAX_BYTES = 4 << 30
MAX_MEMBERS = 100_000
_CHUNK = 1 << 20
# Headers of one member: a long name or a pax record, not a hidden payload.
_MAX_HEADERS = 4 << 20
_MAX_ZSTD_WINDOW = 1 << 27
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)


def extract_tar(
    archive: Path,
    target: Path,
    *,
    strip: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_members: int = MAX_MEMBERS,
) -> None:
    """Unpack a tar (plain, gz, xz or zst) into ``target``, which is absent or empty.

    ``strip`` names the folder that all members must lie in, and that is left out.
    Raises PayloadError naming archive and member, leaving nothing behind.
    """
    with storage_guard(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            tree = work / "tree"
            tree.mkdir()
            unpacking = _Unpacking(archive, tree, strip, max_bytes=max_bytes)
            unpacking.run(max_members)
            tree.chmod(0o755)
            tree.replace(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def check_links(root: Path, name: str) -> None:
    """Raise PayloadError where a symbolic link below ``root`` points out of it.

    ``name`` stands for the tree in the message.
    """
    real = root.resolve()
    for folder, folders, files in os.walk(root):
        for entry in (*folders, *files):
            path = Path(folder, entry)
            if not path.is_symlink():
                continue
            # A link may climb through another link, so only following them shows where it leads.
            pointed = Path(os.path.realpath(path))
            if path.readlink().is_absolute() or not pointed.is_relative_to(real):
                where = str(path.relative_to(root))
                _refuse(name, where, f"is a link out of it, to {str(path.readlink())!r}")


class _Unpacking:
    """One archive on its way into ``tree``."""

    def __init__(self, archive: Path, tree: Path, strip: str | None, *, max_bytes: int) -> None:
        self.archive = archive
        self.tree = tree
        self.strip = PurePosixPath(strip) if strip else None
        self.max_bytes = max_bytes
        self.written = 0
        self.member = ""
        # What this archive has made so far; True for a folder.
        self.made: dict[PurePosixPath, bool] = {PurePosixPath(): True}

    def run(self, max_members: int) -> None:
        try:
            with _opened(self.archive) as stream, _tar(stream) as tar:
                for count, member in enumerate(_members(tar, stream), start=1):
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
        check_links(self.tree, str(self.archive))

    def take(self, tar: tarfile.TarFile, member: tarfile.TarInfo, stream: "_Bounded") -> None:
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
        """Where ``name`` goes below the tree; None for the tree itself and above."""
        path = PurePosixPath(name)
        if path.is_absolute():
            self.refuse("is an absolute path")
        if ".." in path.parts:
            self.refuse("climbs with '..'")
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
            # Also where an earlier member is a link: nothing is written through one.
            self.refuse(f"needs the folder {folder}, which is a file or link in the archive")

    def write_file(
        self,
        tar: tarfile.TarFile,
        member: tarfile.TarInfo,
        place: PurePosixPath,
        stream: "_Bounded",
    ) -> None:
        self.count(member.size)
        stream.allow(member.size + 2 * _CHUNK)  # it is read ahead by chunks
        source = tar.extractfile(member)
        if source is None:
            self.refuse("has no content")
        path = self.tree / place
        with source, path.open("xb") as file:
            shutil.copyfileobj(source, file, _CHUNK)
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
        if member.linkname.startswith("/") or not member.linkname:
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
        # Kept for the likes of make, which compares them.
        when = max(0, int(member.mtime))
        os.utime(path, (when, when))
        self.made[place] = False

    def count(self, size: int) -> None:
        self.written += size
        if self.written > self.max_bytes:
            self.refuse(f"makes the archive larger than {self.max_bytes} bytes unpacked")

    def refuse(self, reason: str) -> NoReturn:
        _refuse(str(self.archive), self.member, reason)


class _StrictInfo(tarfile.TarInfo):
    """A header; where tarfile takes a damaged one for the end, this fails."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # typeshed lacks it
            raise  # the zero block that ends every tar
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


class _Bounded(io.RawIOBase):
    """Reads ``source``, but never more than was allowed.

    tarfile holds long names and pax records in memory, whatever length they claim.
    """

    def __init__(self, source: BinaryIO) -> None:
        super().__init__()
        self.source = source
        self.left = 0

    def allow(self, amount: int) -> None:
        self.left = amount

    def read(self, size: int = -1, /) -> bytes:
        data = self.source.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise tarfile.ReadError("a header is longer than any name needs")
        return data


def _members(tar: tarfile.TarFile, stream: _Bounded) -> Iterator[tarfile.TarInfo]:
    while True:
        stream.allow(_MAX_HEADERS)
        member = tar.next()
        if member is None:
            return
        yield member


@contextmanager
def _opened(archive: Path) -> Iterator[_Bounded]:
    """The tar inside the compression, which is detected by its first bytes."""
    try:
        file = archive.open("rb")
    except OSError as error:
        raise PayloadError(f"{archive}: cannot be read: {error.strerror}") from error
    with file:
        magic = file.read(6)
        file.seek(0)
        yield _Bounded(_decompressed(file, magic))


def _decompressed(file: BinaryIO, magic: bytes) -> BinaryIO:
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if magic.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(file)  # type: ignore[return-value]
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW)
        return decompressor.stream_reader(file, read_across_frames=True)
    return file


def _tar(stream: _Bounded) -> tarfile.TarFile:
    stream.allow(_MAX_HEADERS)
    return tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK, tarinfo=_StrictInfo)


def _refuse(archive: str, member: str, reason: str) -> NoReturn:
    raise PayloadError(
        f"{archive}: member {member!r} {reason}",
        hint="the archive is not what it should be: do not use it, and check where it is from",
    )
