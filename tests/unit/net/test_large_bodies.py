"""Entries of a remote cache whose body is read from the connection itself."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.net.http import RetryPolicy
from builder.net.remote_stores import HttpStore, StoreError
from tests.helpers.servers import ReleaseServer, release_server

LARGE = random.Random(7).randbytes(5 << 20)
_CUT = 3 << 20


@pytest.fixture
def server() -> Iterator[ReleaseServer]:
    with release_server() as state:
        yield state


@pytest.fixture
def store(server: ReleaseServer) -> Iterator[HttpStore]:
    quick = RetryPolicy(tries=1, connect_s=3.0, read_s=0.5)
    made = HttpStore(url=server.url, policy=quick)
    yield made
    made.close()


def test_large_and_small_entries_arrive_whole_one_after_the_other(
    server: ReleaseServer, store: HttpStore, tmp_path: Path
) -> None:
    sizes = (0, 1, (1 << 20) - 1, 1 << 20, 1 << 21, (2 << 20) + 1, len(LARGE))
    for turn in range(2):
        for size in sizes:
            sha256 = server.add(f"/{size}", LARGE[:size])
            target = tmp_path / f"{turn}-{size}"
            assert store.get(f"{size}", target) == sha256
            assert target.read_bytes() == LARGE[:size]


def test_a_large_entry_without_a_length_arrives_whole(
    server: ReleaseServer, store: HttpStore, tmp_path: Path
) -> None:
    sha256 = server.add("/large", LARGE, length=False)
    assert store.get("large", tmp_path / "large") == sha256


def test_a_large_entry_that_is_cut_is_refused_and_the_next_one_arrives(
    server: ReleaseServer, store: HttpStore, tmp_path: Path
) -> None:
    sha256 = server.add("/large", LARGE, cut_after=[_CUT])
    with pytest.raises(StoreError, match=r"closed the connection \d+ bytes before the end"):
        store.get("large", tmp_path / "part")
    assert store.get("large", tmp_path / "large") == sha256


def test_a_server_that_falls_silent_within_a_large_entry_is_left(
    server: ReleaseServer, store: HttpStore, tmp_path: Path
) -> None:
    server.add("/large", LARGE, silent_after=[_CUT])
    with pytest.raises(StoreError, match="the server fell silent"):
        store.get("large", tmp_path / "part")
