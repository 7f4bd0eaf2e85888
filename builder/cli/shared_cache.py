"""The cache of commands that fetch or build, with the one that machines share behind it.

Apart from the options, so that other commands do not load what the shared one needs.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from builder.base import log
from builder.base.cache import Cache, open_cache
from builder.base.paths import cache_root
from builder.net.remote_cache import open_remote_cache


@contextmanager
def shared_cache(*, offline: bool) -> Iterator[Cache]:
    """Yield the user's cache, with the remote one if there is one; at the end report its use."""
    remote = open_remote_cache(offline=offline)
    try:
        yield open_cache(cache_root(), remote)
    finally:
        if remote is not None:
            log.step(remote.summary())
            remote.store.close()
