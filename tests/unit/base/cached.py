"""What the tests of the cache keep in it."""

from pathlib import Path

from builder.base.cache import Cache

DATA = b"a download"


def scratch(cache: Cache) -> list[Path]:
    return list((cache.root / "tmp").glob("*"))
