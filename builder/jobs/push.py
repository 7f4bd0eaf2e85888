"""Gives a remote cache what the local one has: for one that is new, or was away."""

from dataclasses import dataclass

from builder.base import log
from builder.base.cache import Cache
from builder.base.errors import FetchError, UsageError
from builder.base.files import hash_file
from builder.jobs.prune import DOWNLOADS, CacheEntry, list_entries
from builder.net.remote_cache import VARIABLE, RemoteCache
from builder.runtime import prepared, source
from builder.stage.model import REPORT

# The files of an entry that a build asks for first, as those who make it name them.
_RECORDS = {
    "stage": (REPORT,),
    prepared.KIND: (prepared.RECORD,),
    source.RAW_KIND: (source.LIBRARIES_FILE,),
}


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What :func:`push_entries` did with the entries."""

    uploads: int  # files that the remote cache lacked; a tree and its record are two
    offered: int  # entries that it has now
    damaged: int  # entries that were not what they should be
    kept: int  # entries that are not shared, or not without a key

    def summary(self) -> str:
        """Return it as a line for the log."""
        damaged = f", {self.damaged} damaged" if self.damaged else ""
        return (
            f"remote cache: {self.uploads} uploads; it has {self.offered} of this cache's entries,"
            f" {self.kept} stay here{damaged}"
        )


def push_entries(cache: Cache, remote: RemoteCache, *, since: float | None = None) -> Pushed:
    """Give ``remote``, which is the one of ``cache``, the entries that it lacks.

    ``since``, in seconds since the epoch, leaves out what no build took since then. Raises
    UsageError if nothing may be written there, FetchError if it cannot be.
    """
    if not remote.writes:
        raise UsageError(
            f"{VARIABLE}_MODE is 'read': nothing is pushed",
            hint=f"unset {VARIABLE}_MODE for this command",
        )
    entries = [entry for entry in list_entries(cache) if since is None or entry.used >= since]
    shared = [entry for entry in entries if entry.kind == DOWNLOADS or remote.shares(entry.kind)]
    if remote.secret is None and len(shared) < len(entries):
        log.warn(f"{VARIABLE}_KEY is not set: only downloads are pushed")
    damaged = 0
    with log.progress("push", sum(entry.size for entry in shared)) as advance:
        for entry in shared:
            damaged += not _push(cache, remote, entry)
            if not remote.writes:
                raise FetchError(
                    f"the push ended before {entry.kind} {entry.path.name}:"
                    f" {remote.counts['uploads']} uploads were done",
                    hint="see the warning above; run it again, what is there already stays",
                )
            advance(entry.size)
    return Pushed(
        uploads=remote.counts["uploads"],
        offered=len(shared) - damaged,
        damaged=damaged,
        kept=len(entries) - len(shared),
    )


def _push(cache: Cache, remote: RemoteCache, entry: CacheEntry) -> bool:
    """Give one entry; returns whether it is undamaged. This is no use of it by a build."""
    key = entry.path.name
    if entry.kind != DOWNLOADS:
        return cache.share(entry.kind, key, _RECORDS.get(entry.kind, ()))
    if hash_file(entry.path) != key:
        return False
    remote.give_blob(key, entry.path)
    return True
