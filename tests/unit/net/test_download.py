"""Downloads against a server that truncates, drops, stalls, lies and recovers."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import FetchError, OfflineError, StorageError, UsageError
from builder.net.download import HashMismatchError, fetch_blob
from builder.net.http import RetryPolicy, UnreachableError, fetch_text, open_client
from tests.helpers.servers import ReleaseServer, release_server

QUICK = RetryPolicy(tries=4, backoff_s=0.01, connect_s=2, read_s=0.3)
CONTENT = bytes(range(256)) * 400
PATH = "/20260814/cpython-3.13.15+20260814-x86_64.tar.gz"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with release_server() as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(root=tmp_path / "cache")


def fetch(server: ReleaseServer, cache: Cache, policy: RetryPolicy = QUICK) -> Path:
    return fetch_blob(
        server.url + PATH.replace("+", "%2B"), sha256=SHA256, cache=cache, policy=policy
    )


def leftovers(cache: Cache) -> list[str]:
    """Every file of the cache that is neither a lock nor the blob asked for."""
    files = [path.relative_to(cache.root) for path in cache.root.rglob("*") if path.is_file()]
    return [str(path) for path in files if path.parts[0] != "locks" and path.name != SHA256]


def test_a_file_is_fetched_once_and_then_taken_from_the_cache(
    server: ReleaseServer, cache: Cache
) -> None:
    server.add(PATH, CONTENT)
    path = fetch(server, cache)
    assert path.read_bytes() == CONTENT
    assert path == cache.blob(SHA256)
    assert path.stat().st_mode & 0o777 == 0o644
    fetch(server, cache)
    assert len(server.requests) == 1
    assert leftovers(cache) == []


def test_the_file_is_asked_for_as_it_is(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT)
    fetch(server, cache)
    assert "%2B" in server.raw_paths[0]
    assert server.requests[0][1]["accept-encoding"] == "identity"


def test_a_damaged_blob_is_fetched_again(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT)
    fetch(server, cache).write_bytes(b"rot")
    assert fetch(server, cache).read_bytes() == CONTENT


def test_dropped_connections_are_resumed(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT, cut_after=[1000, 2000], etag='"one"')
    assert fetch(server, cache).read_bytes() == CONTENT
    assert server.ranges_asked() == [None, "bytes=1000-", "bytes=3000-"]
    assert [headers.get("if-range") for _, headers in server.requests] == [None, '"one"', '"one"']


def test_a_weak_etag_is_not_used(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT, cut_after=[1000], etag='W/"one"')
    assert fetch(server, cache).read_bytes() == CONTENT
    assert "if-range" not in server.requests[1][1]


def test_a_server_that_ignores_ranges_restarts_cleanly(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT, cut_after=[1000, 50], ranges=False)
    assert fetch(server, cache).read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_a_server_that_answers_another_range_is_not_believed(
    server: ReleaseServer, cache: Cache
) -> None:
    server.add(PATH, CONTENT, cut_after=[1000], wrong_range=True)
    assert fetch(server, cache).read_bytes() == CONTENT
    assert server.ranges_asked() == [None, "bytes=1000-", None]


def test_a_file_that_changed_between_tries_restarts(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, b"x" * len(CONTENT), cut_after=[1000], etag='"old"')
    swapped = threading.Event()

    class Swapping(list[int]):
        def pop(self, index: int = -1, /) -> int:  # type: ignore[override]
            server.files[PATH] = CONTENT
            server.behaviours[PATH].etag = '"new"'
            swapped.set()
            return super().pop(index)

    server.behaviours[PATH].cut_after = Swapping([1000])
    assert fetch(server, cache).read_bytes() == CONTENT
    assert swapped.is_set()
    assert len(server.requests) == 2


def test_what_an_earlier_run_left_is_continued(server: ReleaseServer, cache: Cache) -> None:
    part = cache.root / "tmp" / f"{SHA256}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:5000])
    server.add(PATH, CONTENT)
    assert fetch(server, cache).read_bytes() == CONTENT
    assert server.ranges_asked() == ["bytes=5000-"]


def test_a_whole_part_needs_no_request(server: ReleaseServer, cache: Cache) -> None:
    part = cache.root / "tmp" / f"{SHA256}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    assert fetch(server, cache).read_bytes() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("left", [b"junk" * 100, b"junk" * len(CONTENT)])
def test_a_part_of_something_else_is_thrown_away(
    server: ReleaseServer, cache: Cache, left: bytes
) -> None:
    part = cache.root / "tmp" / f"{SHA256}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    server.add(PATH, CONTENT)
    assert fetch(server, cache).read_bytes() == CONTENT
    assert server.ranges_asked() == [f"bytes={len(left)}-", None]


def test_a_500_is_tried_again(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT, statuses=[500, 503, 200])
    assert fetch(server, cache).read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_a_server_that_stays_broken_is_given_up(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT, statuses=[502] * 9)
    with pytest.raises(UnreachableError, match=r"answered 502 Bad Gateway \(tried 4 times\)"):
        fetch(server, cache)
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429])
def test_a_4xx_is_final(server: ReleaseServer, cache: Cache, status: int) -> None:
    server.add(PATH, CONTENT, statuses=[status] * 9)
    with pytest.raises(FetchError, match=f"answered {status}") as caught:
        fetch(server, cache)
    assert not isinstance(caught.value, UnreachableError)
    assert len(server.requests) == 1
    assert caught.value.hint is not None
    assert "--mirror" in caught.value.hint
    assert leftovers(cache) == []


def test_wrong_bytes_are_an_error_and_leave_nothing(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT[:-1] + b"!")
    with pytest.raises(HashMismatchError, match=f"but {SHA256} is pinned"):
        fetch(server, cache)
    assert len(server.requests) == 1
    assert leftovers(cache) == []
    assert cache.find_blob(SHA256) is None


def test_a_truncated_file_is_noticed_without_a_length(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT, length=False, cut_after=[700])
    path = fetch_blob(
        server.url + PATH, sha256=SHA256, cache=cache, size=len(CONTENT), policy=QUICK
    )
    assert path.read_bytes() == CONTENT
    assert server.ranges_asked() == [None, "bytes=700-"]


def test_a_file_of_another_length_is_refused_before_it_comes(
    server: ReleaseServer, cache: Cache
) -> None:
    server.add(PATH, CONTENT + b"more")
    with pytest.raises(FetchError, match="bytes long, but 102400 are pinned"):
        fetch_blob(server.url + PATH, sha256=SHA256, cache=cache, size=len(CONTENT), policy=QUICK)
    assert leftovers(cache) == []


def test_an_endless_answer_is_cut_off(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT * 3, length=False)
    with pytest.raises(FetchError, match="longer than 102400 bytes"):
        fetch_blob(server.url + PATH, sha256=SHA256, cache=cache, size=len(CONTENT), policy=QUICK)
    assert leftovers(cache) == []


def test_a_stalled_connection_is_resumed(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT, silent_after=[4096])
    assert fetch(server, cache).read_bytes() == CONTENT
    assert server.ranges_asked() == [None, "bytes=4096-"]


def test_a_dripping_connection_counts_as_stalled(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT, drip_s=0.02)
    policy = replace(QUICK, tries=2, window_s=0.2, window_bytes=10_000)
    with pytest.raises(UnreachableError, match="too slow: "):
        fetch(server, cache, policy)
    assert len(server.requests) == 2


def test_progress_buys_more_tries(server: ReleaseServer, cache: Cache) -> None:
    content = b"z" * (9 << 20)
    digest = server.add(PATH, content, cut_after=[(1 << 20) + 1] * 8)
    policy = replace(QUICK, tries=2)
    path = fetch_blob(server.url + PATH, sha256=digest, cache=cache, policy=policy)
    assert path.read_bytes() == content


def test_restarts_do_not_buy_more_tries(server: ReleaseServer, cache: Cache) -> None:
    content = b"z" * (9 << 20)
    digest = server.add(PATH, content, cut_after=[3 << 20] * 50, ranges=False)
    with pytest.raises(UnreachableError):
        fetch_blob(server.url + PATH, sha256=digest, cache=cache, policy=replace(QUICK, tries=3))
    assert len(server.requests) == 3  # only the first 3 MB were a gain


def test_connection_refused_names_the_url_and_the_way_out(cache: Cache) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}/x.tar.gz"
        with pytest.raises(UnreachableError, match="tried 4 times") as caught:
            fetch_blob(url, sha256=SHA256, cache=cache, policy=QUICK)
    assert "secret" not in str(caught.value)
    assert "http://user:***@127.0.0.1" in str(caught.value)


def test_a_name_that_does_not_resolve_fails_at_once(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(host: str, *_rest: object, **_options: object) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(UnreachableError, match=r"no such host: mirror\.invalid does not resolve"):
        fetch_blob("https://mirror.invalid/x", sha256=SHA256, cache=cache)
    assert len(asked) == 1


def test_redirects_are_followed(server: ReleaseServer, cache: Cache) -> None:
    server.add("/elsewhere", CONTENT)
    server.add(PATH, b"", redirect="/elsewhere")
    assert fetch(server, cache).read_bytes() == CONTENT


def test_circular_redirects_end(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, b"", redirect=PATH)
    with pytest.raises(FetchError, match="redirects in circles"):
        fetch(server, cache)


def test_proxy_comes_from_the_environment(
    server: ReleaseServer, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    # To a proxy, the request line carries the whole URL; ours serves it as a path.
    server.add("http://mirror.invalid/x.tar.gz", CONTENT)
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    path = fetch_blob("http://mirror.invalid/x.tar.gz", sha256=SHA256, cache=cache, policy=QUICK)
    assert path.read_bytes() == CONTENT


def test_missing_ca_bundle_is_named(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/bundle.pem")
    with pytest.raises(UsageError, match=r"SSL_CERT_FILE names '/no/bundle\.pem'"):
        fetch_blob("https://mirror.invalid/x", sha256=SHA256, cache=cache)


def test_file_urls_are_read_even_offline(cache: Cache, tmp_path: Path) -> None:
    folder = tmp_path / "a mirror"
    folder.mkdir()
    (folder / "a+b.tar.gz").write_bytes(CONTENT)
    url = folder.as_uri() + "/a%2Bb.tar.gz"
    path = fetch_blob(url, sha256=SHA256, cache=cache, offline=True)
    assert path.read_bytes() == CONTENT
    assert (folder / "a+b.tar.gz").exists()


def test_absent_file_url_names_the_path(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=f"cannot read {tmp_path}/none: No such file"):
        fetch_blob(f"file://{tmp_path}/none", sha256=SHA256, cache=cache)
    with pytest.raises(UsageError, match="names the host 'host'"):
        fetch_blob("file://host/none", sha256=SHA256, cache=cache)


def test_unknown_scheme_is_a_usage_error(cache: Cache) -> None:
    with pytest.raises(UsageError, match="no URL to fetch from"):
        fetch_blob("ftp://mirror.invalid/x", sha256=SHA256, cache=cache)


def test_offline_without_the_blob_says_what_to_do(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT)
    with pytest.raises(OfflineError, match=r"cpython-3\.13\.15.* is not in the cache") as caught:
        fetch_blob(server.url + PATH, sha256=SHA256, cache=cache, offline=True)
    assert caught.value.hint is not None
    assert "builder fetch" in caught.value.hint
    assert server.requests == []
    fetch(server, cache)
    assert fetch_blob(server.url + PATH, sha256=SHA256, cache=cache, offline=True).is_file()


def test_threads_that_want_one_file_fetch_it_once(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT)
    results: list[Path] = []
    with open_client(QUICK) as client:

        def work() -> None:
            url = server.url + PATH
            results.append(fetch_blob(url, sha256=SHA256, cache=cache, client=client))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not client.is_closed
    assert results == [cache.blob(SHA256)] * 8
    assert len(server.requests) == 1


def test_a_full_disk_is_a_storage_error(server: ReleaseServer, cache: Cache) -> None:
    server.add(PATH, CONTENT)
    (cache.root / "tmp").mkdir(parents=True)
    (cache.root / "tmp" / f"{SHA256}.part").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="no space left on the disk"):
        fetch(server, cache)
    assert cache.find_blob(SHA256) is None


def test_fetch_text_is_bounded_and_retried(server: ReleaseServer) -> None:
    server.add("/SHA256SUMS", b"abc  file\n", statuses=[500])
    assert fetch_text(f"{server.url}/SHA256SUMS", policy=QUICK) == "abc  file\n"
    server.add("/binary", b"\xff\xfe")
    with pytest.raises(FetchError, match="is not text"):
        fetch_text(f"{server.url}/binary", policy=QUICK)
    server.add("/huge", b" " * (17 << 20))
    with pytest.raises(FetchError, match="is longer than"):
        fetch_text(f"{server.url}/huge", policy=QUICK)
