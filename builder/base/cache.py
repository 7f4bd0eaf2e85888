"""The cache: downloads by their sha256, derived things by the hash of their inputs.

Layout under the root::

    blobs/ab/abcd…      a download, named by its sha256
    derived/KIND/KEY/   something made from them: a runtime, an installed wheel, a tree,
                        sealed with the hashes of its files
    derived/record-KIND/KEY/   the record of an entry that only a remote cache has whole
    tmp/                unfinished entries; every entry above appears by rename
    locks/              of entries that are being made; ``use`` is shared by all processes

Every entry is hashed again at its use, and made again if it is damaged.

Two builds may share a cache: the build that makes an entry holds a lock on its key,
the other waits and uses the result. A killed build leaves only ``tmp/``, which a later
build empties.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from builder.base import log
from builder.base.errors import FetchError, StorageError
from builder.base.files import hash_file
from builder.base.scratch import SharedLock, file_lock, scratch_folder, sweep
from builder.base.seal import MARK, SEAL, Hashes, find_damage, make_seal
from builder.base.storage import storage_guard

_RECORD = "record-{}"  # the kind of the record of an entry
_OCCUPIED = frozenset({errno.ENOTEMPTY, errno.EEXIST})
# On a network file system a lock alone does not show whether another host is at work.
_SWEEP_AGE_S = 24 * 3600


def key_of(*parts: object) -> str:
    """Return the key of a derived entry: the hash of all its inputs.

    Parts are any values that JSON can hold; order matters.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Remote(Protocol):
    """A cache that other machines share; none of its faults is raised."""

    def take_blob(self, sha256: str, target: Path) -> bool:
        """Copy a download to the new file ``target``; returns whether it is whole and there."""

    def give_blob(self, sha256: str, source: Path) -> None:
        """Store a download for others."""

    def take_tree(self, kind: str, key: str, target: Path, hashes: Hashes) -> bool:
        """Unpack a tree into the absent ``target``; returns whether there is a valid one.

        ``hashes`` gets those that are known of its files.
        """

    def give_tree(self, kind: str, key: str, folder: Path, work: Path) -> None:
        """Store a derived tree for others; ``work`` is an empty folder to pack it in."""

    def summary(self) -> str:
        """Return what happened, as a line for the log."""


@dataclass(kw_only=True)
class Cache:
    """A cache under ``root``, made on first use, and what this process knows of its entries."""

    root: Path
    remote: Remote | None = field(default=None, compare=False, repr=False)
    _hashes: Hashes = field(default_factory=dict, compare=False, repr=False)
    _whole: set[Path] = field(default_factory=set, compare=False, repr=False)
    _damaged: dict[Path, int] = field(default_factory=dict, compare=False, repr=False)  # inodes
    _use: SharedLock | None = field(default=None, compare=False, repr=False)

    def blob(self, sha256: str) -> Path:
        """Return the place of the download with this sha256, present or not."""
        return self.root / "blobs" / sha256[:2] / sha256

    def find_blob(self, sha256: str) -> Path | None:
        """Return the download with this sha256 if the cache has it undamaged.

        It is hashed at every use: a cache outlives disks and half-finished copies.
        """
        path = self.blob(sha256)
        if not path.is_file():
            return self._take_blob(sha256)
        if hash_file(path) != sha256:
            log.step(f"cache: the download {path} is damaged: it is removed, and fetched again")
            path.unlink(missing_ok=True)
            return self._take_blob(sha256)
        _note_use(path)
        return path

    def add_blob(self, source: Path, sha256: str, *, move: bool = False) -> Path:
        """Add ``source``, which must have this sha256; returns the blob's path.

        Raises FetchError if the content is different.
        """
        found = hash_file(source)
        if found != sha256:
            raise FetchError(
                f"{source.name}: sha256 is {found}, but {sha256} is pinned",
                hint="the file is damaged or not the pinned one: fetch it again, or fix the pin",
            )
        with storage_guard(self.blob(sha256)), self.workspace() as work:
            part = work / "blob"
            shutil.move(source, part) if move else shutil.copyfile(source, part)
            return self.keep_blob(part, sha256)

    def keep_blob(self, part: Path, sha256: str, *, share: bool = True) -> Path:
        """Rename a checked file of this file system into place; returns the blob's path."""
        target = self.blob(sha256)
        with storage_guard(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            part.chmod(0o644)
            part.replace(target)
        if share and self.remote is not None:
            self.remote.give_blob(sha256, target)
        return target

    def _take_blob(self, sha256: str) -> Path | None:
        if self.remote is None:
            return None
        with self.workspace() as work:
            part = work / "blob"
            if not self.remote.take_blob(sha256, part):
                return None
            return self.keep_blob(part, sha256, share=False)

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """Yield a scratch folder on the cache's own file system, removed at the end.

        It is locked as long as this process lives, so that :meth:`sweep` skips it.
        """
        with storage_guard(self._scratch):
            self._scratch.mkdir(parents=True, exist_ok=True)
            scratch = ExitStack()
            work = scratch.enter_context(scratch_folder(self._scratch))
        with scratch:
            yield work

    @property
    def _scratch(self) -> Path:
        return self.root / "tmp"

    def sweep(self) -> None:
        """Remove the scratch folders of killed builds after a day."""
        sweep(self._scratch, min_age_s=_SWEEP_AGE_S)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock ``name``; another process that needs it waits."""
        path = self.root / "locks" / name
        with storage_guard(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = ExitStack()
            # The second word is a hash: useless to people.
            kind = name.partition("-")[0]
            lock.enter_context(
                file_lock(path, f"waiting for another build that makes the same {kind}")
            )
        with lock:
            yield

    def derived(self, kind: str, key: str) -> Path:
        """Return the place of the derived folder of this kind and key, present or not."""
        return self.root / "derived" / kind / key

    def find_derived(self, kind: str, key: str, files: Sequence[str] = ()) -> Path | None:
        """Return the derived folder of this kind and key if it is undamaged.

        It is hashed once in a process. A caller that needs only some ``files`` of it names
        them: then only these are read.
        """
        path = self.derived(kind, key)
        if not self._is_sound(path):
            return self._take_tree(kind, key)
        if path not in self._whole and not self._check(kind, path, files):
            return self._take_tree(kind, key)
        _note_use(path / MARK)
        return path

    def find_record(self, kind: str, key: str, files: Sequence[str]) -> Path | None:
        """Return a folder with these undamaged files of a derived entry.

        That is the entry, or what a remote cache has of it as its record: then the entry itself
        is fetched only when :meth:`derive` is asked for it.
        """
        if self.remote is None or self._is_sound(self.derived(kind, key)):
            return self.find_derived(kind, key, files)
        return self.find_derived(_RECORD.format(kind), key)

    def _is_sound(self, path: Path) -> bool:
        """Return whether an entry is there, and this process has found no damage in it."""
        return (path / MARK).is_file() and self._damaged.get(path) != path.stat().st_ino

    def _take_tree(self, kind: str, key: str) -> Path | None:
        if self.remote is None:
            return None
        # Not the lock of derive(), whose holder calls this.
        with self.locked(f"{kind}-{key}-remote"):
            path = self.derived(kind, key)
            if self._is_sound(path):  # another thread or process took it
                return path
            with self.workspace() as work:
                fresh = work / "made"
                if not self.remote.take_tree(kind, key, fresh, self._hashes):
                    return None
                with storage_guard(fresh):
                    return self._place(kind, key, fresh)

    def _check(self, kind: str, path: Path, files: Sequence[str]) -> bool:
        if not (path / SEAL).exists():
            # Made before seals existed; after its first use a change is detected.
            if not files:
                with suppress(OSError):  # somebody else's cache
                    make_seal(path, self._hashes)
            return True
        damage = find_damage(path, self._hashes, files)
        if damage is not None:
            log.step(f"cache: the {kind} {path} is damaged ({damage}): it is made again")
            self._damaged[path] = path.stat().st_ino
        elif not files:
            self._whole.add(path)
        return damage is None

    def derive(
        self, kind: str, key: str, make: Callable[[Path], None], record: Sequence[str] = ()
    ) -> Path:
        """Return the derived folder of this kind and key; ``make`` writes it if it is absent.

        ``make`` gets an empty folder that is renamed into place when it returns. ``record`` are
        its files that :meth:`find_record` is asked for.
        """
        found = self.find_derived(kind, key)
        if found is not None:
            return found
        with self.locked(f"{kind}-{key}"):
            found = self.find_derived(kind, key)
            if found is not None:
                return found
            with self.workspace() as work:
                fresh = work / "made"
                fresh.mkdir()
                with storage_guard(fresh):
                    make(fresh)
                    return self.adopt(kind, key, fresh, record)

    def adopt(self, kind: str, key: str, folder: Path, record: Sequence[str] = ()) -> Path:
        """Seal a finished ``folder`` of this file system and rename it into place."""
        path = self._place(kind, key, folder)
        self.share(kind, key, record)
        return path

    def share(self, kind: str, key: str, record: Sequence[str] = ()) -> bool:
        """Give an entry and its record to the remote cache; returns whether it is undamaged."""
        path = self.derived(kind, key)
        if path not in self._whole and not self._check(kind, path, ()):
            return False
        if self.remote is None:
            return True
        with self.workspace() as work:
            self.remote.give_tree(kind, key, path, work)
        if record:
            with self.workspace() as part, self.workspace() as work:
                for name in record:
                    shutil.copy(path / name, part / name)
                self.remote.give_tree(_RECORD.format(kind), key, part, work)
        return True

    def _place(self, kind: str, key: str, folder: Path) -> Path:
        path = self.derived(kind, key)
        make_seal(folder, self._hashes)
        (folder / MARK).touch()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not self._is_sound(path):  # or left by a crash of an older builder
            with self.workspace() as work:
                path.replace(work / "damaged")
        try:
            folder.replace(path)
        except OSError as error:
            # Another process was faster: its entry may be in use already.
            if error.errno not in _OCCUPIED or not self._is_sound(path):
                raise
        self._whole.add(path)
        return path

    def entries(self) -> Iterator[tuple[str, Path]]:
        """Yield kind and place of each whole entry; a download's kind is ``download``."""
        for path in self.root.glob("blobs/??/*"):
            yield "download", path
        for mark in self.root.glob(f"derived/*/*/{MARK}"):
            yield mark.parent.parent.name, mark.parent

    def last_use(self, entry: Path) -> float:
        """Return when an entry was last used, in seconds since the epoch."""
        mark = entry / MARK
        return (mark if entry.is_dir() else entry).stat().st_mtime

    def discard(self, entry: Path) -> None:
        """Remove an entry: by rename first, so that none is ever there in part."""
        with self.workspace() as work:
            entry.replace(work / "discarded")
        self._whole.discard(entry)

    def hold(self) -> SharedLock:
        """Say until the end of this process that it uses the cache."""
        path = self.root / "locks" / "use"
        with storage_guard(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._use = self._use or SharedLock(path, "waiting until the cache is pruned")
        return self._use

    def claim(self) -> None:
        """Use the cache alone from now on; StorageError if another process uses it."""
        if not self.hold().make_exclusive():
            raise StorageError(
                f"the cache {self.root} is in use by another builder",
                hint="run it again when that one has ended; until then --dry-run works",
            )


def _note_use(path: Path) -> None:
    with suppress(OSError):  # somebody else's cache
        os.utime(path)


def open_cache(root: Path, remote: Remote | None = None) -> Cache:
    """Open the cache at ``root`` and sweep it; raises StorageError if it cannot be written."""
    with storage_guard(root):
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
        cache = Cache(root=root, remote=remote)
        cache.sweep()
    cache.hold()
    return cache
