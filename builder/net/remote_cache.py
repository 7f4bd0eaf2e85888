"""A cache that machines share: what one has fetched or made, another takes, once it is checked.

Layout, the same in a folder and on a server::

    blobs/ab/abcd…           a download, checked by its name, which is its sha256
    derived/KIND/KEY         a packed tree with a line signed by the site's key; its large
                             files lie among the blobs, by the sha256 that the line names

The local cache stays the truth: an entry is taken into it, or given from it. Nothing that goes
wrong here stops a build. After a fault of the store it is left alone until the process ends.
"""

import os
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from builder.base import log
from builder.base.errors import UsageError
from builder.base.files import hash_file
from builder.base.seal import Hashes
from builder.net.packed_tree import Label, PackedTreeError, pack_tree, unpack_tree
from builder.net.remote_stores import Store, StoreError, open_store

VARIABLE = "BUILDER_REMOTE_CACHE"
# Made from nothing but what their keys say. A compiled CPython or sdist depends on its host.
_KINDS = frozenset(
    {
        *("artifact", "fit", "gates", "graphql", "runtime", "runtime-elf"),
        *("shared-scripts", "stage", "tool", "wheel"),
        # Small facts of an entry, enough to find the packages made with it.
        *("record-cpython", "record-runtime", "record-stage"),
    }
)
_MIN_SECRET = 32  # bytes


@dataclass(kw_only=True)
class RemoteCache:
    """A store, and what this process has learned of it. Threads may share it."""

    store: Store
    secret: bytes | None = None  # without it only downloads are taken and given
    writes: bool = True
    counts: Counter[str] = field(default_factory=Counter)
    _absent: set[str] = field(default_factory=set)
    _bad: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _reads: bool = True

    def take_blob(self, sha256: str, target: Path) -> bool:
        """Copy a download to the new file ``target``; returns whether it is whole and there."""
        found = self._get_blob(sha256, target)
        if found:
            self._count("hits")
        return found

    def give_blob(self, sha256: str, source: Path) -> None:
        """Store a download for others."""
        name = _blob_name(sha256)
        if self._may_write(name):
            self._put(name, source, sha256)

    def take_tree(self, kind: str, key: str, target: Path, hashes: Hashes) -> bool:
        """Unpack a tree into the absent folder ``target``; returns whether there is a valid one.

        ``hashes`` gets those of its large files, which are hashed as they arrive.
        """
        name = f"derived/{kind}/{key}"
        packed = target.with_name("packed")
        if self.secret is None or kind not in _KINDS or not self._get(name, packed):
            return False
        label = Label(kind=kind, key=key, secret=self.secret)
        try:
            hashes.update(unpack_tree(packed, target, label, self._get_blob))
        except PackedTreeError as error:
            if self._reads:  # or the store failed, which is reported already
                self._refuse(name, str(error))
            return False
        finally:
            packed.unlink(missing_ok=True)
        self._count("hits")
        return True

    def give_tree(self, kind: str, key: str, folder: Path, work: Path) -> None:
        """Store a derived tree for others; ``work`` is an empty folder to pack it in."""
        name = f"derived/{kind}/{key}"
        if self.secret is None or kind not in _KINDS or not self._may_write(name):
            return
        packed = work / "packed"
        label = Label(kind=kind, key=key, secret=self.secret)
        try:
            large = pack_tree(folder, packed, label)
        except PackedTreeError as error:
            log.detail(f"remote cache: {name} is not uploaded: {error}")
            return
        for sha256, path in large.items():
            if self._may_write(_blob_name(sha256)):
                self._put(_blob_name(sha256), path, sha256, counted=False)
        if self.writes:
            self._put(name, packed, hash_file(packed))

    def shares(self, kind: str) -> bool:
        """Return whether derived trees of this kind are given, or their records."""
        return self.secret is not None and (kind in _KINDS or f"record-{kind}" in _KINDS)

    def summary(self) -> str:
        """Return what happened, as a line for the log."""
        words = [f"{self.counts[name]} {name}" for name in ("hits", "misses", "uploads")]
        if self.counts["refused"]:
            words.append(f"{self.counts['refused']} refused")
        return f"remote cache: {', '.join(words)}"

    def _get_blob(self, sha256: str, target: Path) -> bool:
        name = _blob_name(sha256)
        found = self._get(name, target)
        if found and found != sha256:
            target.unlink()
            self._refuse(name, "its sha256 is not that of its name")
        return found == sha256

    def _get(self, name: str, target: Path) -> str | None:
        if not self._reads or name in self._absent or name in self._bad:
            return None
        try:
            found = self.store.get(name, target)
        except StoreError as error:
            target.unlink(missing_ok=True)
            self._leave(error)
            return None
        if found is None:
            self._absent.add(name)
            self._count("misses")
        return found

    def _may_write(self, name: str) -> bool:
        """Return whether this entry is missing there; a damaged one is replaced."""
        if not self.writes:
            return False
        try:
            return name in self._bad or not self.store.has(name)
        except StoreError as error:
            self._leave(error)
            return False

    def _put(self, name: str, source: Path, sha256: str, *, counted: bool = True) -> None:
        try:
            self.store.put(name, source, sha256, replace=name in self._bad)
        except StoreError as error:
            with self._lock:
                first, self.writes = self.writes, False
            if first:
                log.warn(f"remote cache: cannot write {error}; nothing more is uploaded")
            return
        if counted:
            self._count("uploads")

    def _leave(self, error: StoreError) -> None:
        with self._lock:
            first, self._reads, self.writes = self._reads, False, False
        if first:
            log.warn(f"remote cache: {error}; this run goes on without it")

    def _refuse(self, name: str, reason: str) -> None:
        with self._lock:
            self._bad.add(name)
            self.counts["refused"] += 1
            first = self.counts["refused"] == 1
        message = f"remote cache: {name} is refused: {reason}"
        if first:
            log.warn(f"{message}; it is made here instead, as others may be (-v lists them)")
        else:
            log.detail(message)

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1


def open_remote_cache(
    *, offline: bool, environment: Mapping[str, str] | None = None
) -> RemoteCache | None:
    """Open the remote cache that the environment names, if it names one.

    With ``offline`` only a folder is used. Raises UsageError if a setting is wrong.
    """
    variables = os.environ if environment is None else environment
    place = variables.get(VARIABLE)
    if not place:
        return None
    mode = variables.get(f"{VARIABLE}_MODE") or "write"
    if mode not in ("read", "write"):
        raise UsageError(
            f"{VARIABLE}_MODE is {mode!r}", hint="it is 'read' or 'write'; unset is 'write'"
        )
    token = _read_secret(variables, f"{VARIABLE}_TOKEN_FILE") or variables.get(f"{VARIABLE}_TOKEN")
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(f"{VARIABLE}_TOKEN is no bearer token: one line of ASCII is needed")
    key = _read_secret(variables, f"{VARIABLE}_KEY")
    if key is not None and len(key) < _MIN_SECRET:
        raise UsageError(
            f"the key that {VARIABLE}_KEY names is shorter than {_MIN_SECRET} characters",
            hint="make one: openssl rand -hex 32",
        )
    store = open_store(place, token)
    if offline and store.is_network:
        return None
    secret = key.encode() if key is not None else None
    return RemoteCache(store=store, secret=secret, writes=mode == "write")


def _read_secret(variables: Mapping[str, str], name: str) -> str | None:
    path = variables.get(name)
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise UsageError(f"cannot read {path}, which {name} names: {reason}") from None


def _blob_name(sha256: str) -> str:
    return f"blobs/{sha256[:2]}/{sha256}"
