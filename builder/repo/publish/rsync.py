"""Publishes by rsync, over ssh or to a path of this machine.

rsync writes beside each file, renames, and verifies a checksum of all that it sent. One
call serves a whole phase, because each call opens a connection.
"""

import re
import shlex
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from builder.base.errors import RepoError, ToolError
from builder.base.run import Result, find_tool, run
from builder.repo.model import POOL, FileFacts, check_place
from builder.repo.publish.claim import CLAIMS
from builder.repo.publish.source import check_source

_PERSIST_S = 20  # of an unused connection
_TIMEOUT_S = 300  # without a byte, so that a dead connection ends
_LISTED = re.compile(r"-\S{9,}\s+([0-9][0-9,.]{0,24})\s+\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (.+)")
_LINE = re.compile(r"[^\n]+")
_VANISHED = 24  # some files were removed while they were read
_NOT_THERE = 23  # some files were not transferred: here because the source lacks them


class RsyncPublisher:
    """A folder that rsync reaches."""

    def __init__(self, destination: str, ssh_options: Sequence[str] = ()) -> None:
        self._destination = destination.rstrip("/") + "/"
        # Not a TemporaryDirectory: a publisher is never closed, and Python would warn.
        private = tempfile.mkdtemp(prefix="builder-rsync-")
        weakref.finalize(self, shutil.rmtree, private, ignore_errors=True)
        self._indexes = Path(private) / "indexes"  # as they were read
        self._options = ["--timeout", str(_TIMEOUT_S)]
        if is_remote(destination):
            # One connection serves all calls; a check reads many packages, one call each.
            shared = ["-oControlMaster=auto", f"-oControlPath={private}/%C"]
            ssh = ["ssh", *shared, f"-oControlPersist={_PERSIST_S}", *ssh_options]
            self._options += ["--rsh", shlex.join(ssh)]

    def list(self) -> Iterator[tuple[PurePosixPath, int]]:
        """Yield every file with its size; none if the folder does not exist yet."""
        result = self._rsync(
            *("--recursive", "--list-only", "--no-human-readable", "--8-bit-output"),
            self._destination,
            check=False,
        )
        if result.status != 0:
            if "No such file or directory" in result.stderr:
                return
            raise self._failure("list", result)
        listed = parse_listing(result.stdout)
        yield from ((path, size) for path, size in listed if path.parent != CLAIMS)

    def claims(self) -> Mapping[str, bytes]:
        """Return every claim of a publisher, by its name."""
        with _scratch() as folder:
            copy = Path(folder) / "claims"
            result = self._rsync(
                "--recursive", f"{self._destination}{CLAIMS}/", f"{copy}/", check=False
            )
            if result.status not in (0, _NOT_THERE, _VANISHED):
                raise self._failure("read the lock of", result)
            return {path.name: path.read_bytes() for path in copy.glob("*") if path.is_file()}

    def claim(self, name: str, data: bytes) -> str:
        """Write a claim, which appears whole: rsync renames it into place."""
        with _scratch() as folder:
            path = Path(folder) / CLAIMS / name
            path.parent.mkdir()
            path.write_bytes(data)
            self._send(folder, [CLAIMS / name])
        return name

    def unclaim(self, names: Iterable[str]) -> None:
        """Remove claims."""
        self.delete(CLAIMS / name for name in names)

    def has(self, path: PurePosixPath, facts: FileFacts) -> bool:  # noqa: ARG002 - the protocol's
        """Return False: rsync itself compares, in the call that would send the file."""
        return False

    def put(self, path: PurePosixPath, source: Path, facts: FileFacts) -> None:
        """Place a file."""
        check_source(path, source, facts)
        with _scratch() as folder:
            link = Path(folder) / check_place(path)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source.absolute())
            self._send(folder, [path])

    def put_many(self, files: Mapping[PurePosixPath, FileFacts], source: Path) -> None:
        """Place files that lie under ``source`` by the same paths."""
        for path, facts in files.items():
            check_source(check_place(path), source / path, facts)
        self._send(str(source), files)

    def _send(self, source: str, paths: Iterable[PurePosixPath]) -> None:
        self._forget()
        result = self._rsync(
            # By checksum: indexes of two publications may have one size and one time.
            *("--checksum", "--times", "--copy-links", "--chmod=D755,F644", "--mkpath"),
            *("--no-owner", "--no-group", "--from0", "--files-from=-"),
            f"{source}/",
            self._destination,
            stdin=_names(paths),
            check=False,
        )
        if result.status != 0:
            raise self._failure("send files to", result)

    def open(self, path: PurePosixPath) -> BinaryIO:
        """Open a file to read it; reading the first index fetches all of them."""
        if path.is_relative_to(POOL):
            with _scratch() as folder:
                copy = Path(folder) / path.name
                self._fetch(f"{self._destination}{path}", str(copy))
                return self._read(copy, path)
        if not self._indexes.is_dir():
            options = ["--recursive", f"--exclude=/{POOL}/"]
            self._fetch(*options, self._destination, f"{self._indexes}/")
        return self._read(self._indexes / path, path)

    def _fetch(self, *arguments: str) -> None:
        result = self._rsync(*arguments, check=False)
        if result.status not in (0, _NOT_THERE):
            raise self._failure("read from", result)

    def _forget(self) -> None:
        """Drop the indexes that were read, which are out of date."""
        shutil.rmtree(self._indexes, ignore_errors=True)

    def _read(self, copy: Path, path: PurePosixPath) -> BinaryIO:
        try:
            return copy.open("rb")
        except OSError as error:
            raise RepoError(
                f"{self._destination}{path}: no such file", hint="publish the repository again"
            ) from error

    def delete(self, paths: Iterable[PurePosixPath]) -> None:
        """Remove files; the folders that they leave empty stay."""
        self._forget()
        gone = tuple(map(check_place, paths))
        with _scratch() as source:
            # rsync deletes a listed file that the source lacks, if the source has its folder.
            for path in gone:
                (Path(source) / path).parent.mkdir(parents=True, exist_ok=True)
            result = self._rsync(
                *("--delete-missing-args", "--from0", "--files-from=-"),
                f"{source}/",
                self._destination,
                stdin=_names(gone),
                check=False,
            )
        if result.status != 0:
            raise self._failure("delete files from", result)

    def _rsync(self, *arguments: str, check: bool, stdin: str | None = None) -> Result:
        rsync = find_tool("rsync", variable="BUILDER_RSYNC", hint="run: apt-get install rsync")
        return run([rsync, *self._options, *arguments], check=check, stdin=stdin)

    def _failure(self, what: str, result: Result) -> ToolError:
        lines = "\n".join(f"  {line}" for line in result.stderr.strip().splitlines()[-10:])
        return ToolError(
            f"cannot {what} {self._destination} (rsync exited with {result.status})\n{lines}",
            hint="try the same by hand: rsync --list-only " + shlex.quote(self._destination),
        )


def _scratch() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="builder-rsync-")


def is_remote(destination: str) -> bool:
    """Return whether rsync would use ssh: HOST:PATH, but neither a path nor a daemon's address."""
    host, colon, path = destination.partition(":")
    return bool(colon) and "/" not in host and not path.startswith(("//", ":"))


def parse_listing(text: str) -> Iterator[tuple[PurePosixPath, int]]:
    """Yield the files in the output of ``rsync --list-only``. Pure."""
    for line in _LINE.finditer(text):  # a name may hold other line ends of Python's
        match = _LISTED.fullmatch(line[0])
        if match:
            yield PurePosixPath(match[2]), int(match[1].replace(",", "").replace(".", ""))


def _names(paths: Iterable[PurePosixPath]) -> str:
    return "".join(f"{path}\0" for path in paths)
