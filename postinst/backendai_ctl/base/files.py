"""Writes files so that a reader never sees a partial one, even after a kill."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import HostError
from backendai_ctl.base.handles import opened
from backendai_ctl.base.temporary import new_file, new_folder
from backendai_ctl.base.text import encode


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Writes complete files, which only root and the account can read."""

    owner: Owner
    mode: int = 0o640

    def ensure_folder(self, path: Path, mode: int = 0o750) -> None:
        """Create ``path`` if it is absent; an existing folder is left unchanged."""
        if path.is_dir():
            return
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            with new_folder(path) as (temporary, descriptor):
                os.fchown(descriptor, self.owner.uid, self.owner.gid)
                os.fchmod(descriptor, mode)
                temporary.rename(path)
        except OSError as error:
            if not path.is_dir():  # else another run was faster
                raise HostError(f"cannot make {path}: {error.strerror}") from error

    def create(self, path: Path, text: str) -> bool:
        """Write ``text`` to ``path`` unless something exists there; return whether it did."""
        # link(2) fails if the name exists, so it keeps an admin's file that appears
        # in between, which rename(2) would replace.
        with self._beside(path, text) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
        return True

    def replace(self, path: Path, text: str) -> None:
        """Write ``text`` to ``path``, replacing any present file."""
        with self._beside(path, text) as temporary:
            temporary.rename(path)

    def adopt(self, source: Path, target: Path) -> None:
        """Move a finished file to ``target``, with this writer's owner and mode."""
        with opened(source) as descriptor:
            os.fchown(descriptor, self.owner.uid, self.owner.gid)
            os.fchmod(descriptor, self.mode)
        source.rename(target)

    @contextlib.contextmanager
    def _beside(self, path: Path, text: str) -> Iterator[Path]:
        try:
            with new_file(path) as (temporary, descriptor):
                with os.fdopen(os.dup(descriptor), "wb") as stream:
                    os.fchown(descriptor, self.owner.uid, self.owner.gid)
                    os.fchmod(descriptor, self.mode)
                    stream.write(encode(text))
                    stream.flush()
                    os.fsync(descriptor)
                yield temporary
        except OSError as error:
            raise HostError(f"cannot write {path}: {error.strerror}") from error


def private_writer() -> Writer:
    """Return a writer of files that only the current user, root, can read."""
    return Writer(owner=Owner.caller(), mode=0o600)


@contextlib.contextmanager
def exclusive(folder: Path, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Lock ``folder`` against another run of this tool; call ``on_wait`` if one has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
