"""Rows of any number: SQLite keeps few in memory, and more in a file that no name leads to."""

import os
import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import PurePosixPath
from typing import TypeVar

_Row = TypeVar("_Row")


class Spill:
    """A database that is there as long as this object."""

    def __init__(self, schema: str) -> None:
        # Whichever thread drops this object closes it.
        self.db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self.db.close)
        # Nobody reads it after a crash.
        self.db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {schema}")


def path_key(path: PurePosixPath) -> bytes:
    """Return bytes that sort as the path does: folder by folder. The name need not be UTF-8."""
    return os.fsencode(path).replace(b"/", b"\0")


def key_path(key: bytes) -> PurePosixPath:
    """Return the path of a key."""
    return PurePosixPath(os.fsdecode(key.replace(b"\0", b"/")))


def batches(rows: Iterable[_Row], count: int) -> Iterator[list[_Row]]:
    """Yield the rows in lists of so many."""
    waiting = iter(rows)
    while some := list(islice(waiting, count)):
        yield some
