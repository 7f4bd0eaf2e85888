"""The remote cache: only what is checked is taken, and none of its faults stops a build."""

import hashlib
import io
import json
import os
import random
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import zstandard

from builder.base.cache import Cache
from builder.net import packed_tree
from builder.net.http import RetryPolicy
from builder.net.remote_cache import RemoteCache
from builder.net.remote_stores import FolderStore, HttpStore
from tests.unit.net.machines import SECRET, counts, fail, fill, over_folder

DATA = b"a download" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()
BLOB = f"blobs/{SHA256[:2]}/{SHA256}"
KEY = "ab" * 32
TREE = f"derived/wheel/{KEY}"
_QUICK = RetryPolicy(tries=1, connect_s=0.5, read_s=0.5, window_s=0.5, window_bytes=1 << 20)
# A busy machine is no fault.
_PATIENT = RetryPolicy(tries=1, connect_s=20, read_s=20, window_s=20, window_bytes=1)


@dataclass
class Server:
    """A server for entries, with the fault that a test sets."""

    entries: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    fault: str = ""
    url: str = ""


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - a class
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _begin(self) -> bool:
            server.requests.append((self.command, self.path[1:]))
            server.tokens.add(self.headers.get("Authorization"))
            if server.fault == "hang":
                time.sleep(1.5)
            if server.fault in ("500", "403"):
                self._answer(int(server.fault))
                return False
            return True

        def _answer(self, code: int, data: bytes = b"", length: int | None = None) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(data) if length is None else length))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            if not self._begin():
                return
            data = server.entries.get(self.path[1:])
            if data is None:
                self._answer(404)
            elif server.fault == "cut":
                self._answer(200, data[: len(data) // 2], len(data))
                self.close_connection = True
            else:
                self._answer(200, data)

        def do_HEAD(self) -> None:
            if self._begin():
                self.send_response(200 if self.path[1:] in server.entries else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if server.fault == "full":
                self._answer(507)
            elif server.fault == "moved":
                self.send_response(302)
                self.send_header("Location", f"{server.url}/{BLOB}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif self._begin():
                server.entries[self.path[1:]] = data
                self._answer(201)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this host."""
    state = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(state)) as http:
        state.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, args=(0.005,))
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture
def over_http(server: Server, tmp_path: Path) -> Iterator[Callable[[str], Cache]]:
    """Makes caches with the server behind them, each as on a machine of its own."""
    stores = []

    def make(name: str, *, secret: bytes | None = SECRET, writes: bool = True) -> Cache:
        policy = _QUICK if server.fault == "hang" else _PATIENT
        store = HttpStore(url=server.url, token="t0ken", policy=policy)
        stores.append(store)
        remote = RemoteCache(store=store, secret=secret, writes=writes)
        return Cache(root=tmp_path / name, remote=remote)

    yield make
    for store in stores:
        store.close()


def add(cache: Cache) -> Path:
    source = cache.root.with_name(f"{cache.root.name}.source")
    source.write_bytes(DATA)
    return cache.add_blob(source, SHA256)


def look(folder: Path) -> dict[str, object]:
    """Return all of a tree that a build can notice."""
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = path.readlink()
        elif path.is_dir():
            found[name] = oct(status.st_mode)
        elif not name.startswith((".sealed", ".complete")):
            found[name] = (oct(status.st_mode), int(status.st_mtime), path.read_bytes())
    return found


def test_another_machine_takes_downloads_and_trees_from_a_folder(tmp_path: Path) -> None:
    first, second = over_folder(tmp_path, "first"), over_folder(tmp_path, "second")
    add(first)
    made = first.derive("wheel", KEY, fill)
    path = second.find_blob(SHA256)
    assert path == second.blob(SHA256)
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o777 == 0o644
    taken = second.derive("wheel", KEY, fail)
    assert look(taken) == look(made)
    assert Cache(root=second.root).find_derived("wheel", KEY) == taken  # sealed, and undamaged
    assert counts(second) == {"hits": 2}
    assert list((tmp_path / "shared" / "tmp").iterdir()) == []


def test_another_machine_takes_them_from_a_server_with_the_token(
    server: Server, over_http: Callable[..., Cache]
) -> None:
    first, second = over_http("first"), over_http("second")
    add(first)
    made = first.derive("wheel", KEY, fill)
    assert second.find_blob(SHA256) is not None
    assert look(second.derive("wheel", KEY, fail)) == look(made)
    assert server.tokens == {"Bearer t0ken"}
    assert counts(first) == {"misses": 1, "uploads": 2}
    assert counts(second) == {"hits": 2}


@pytest.mark.parametrize("fault", ["500", "403", "hang", "cut"])
def test_a_faulty_server_is_left_alone_after_one_warning(
    server: Server,
    over_http: Callable[..., Cache],
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    server.entries[BLOB] = DATA
    server.fault = fault
    cache = over_http("local")
    assert cache.find_blob(SHA256) is None
    for number in range(20):
        cache.derive("wheel", f"{number:064}", fill)
    assert len(server.requests) == 1
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "this run goes on without it" in warnings[0].getMessage()
    assert "t0ken" not in caplog.text


def test_an_absent_server_or_folder_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for store in (
        HttpStore(url="http://127.0.0.1:9", policy=_QUICK),
        FolderStore(root=tmp_path / "unmounted"),
    ):
        caplog.clear()
        cache = Cache(root=tmp_path / "local", remote=RemoteCache(store=store, secret=SECRET))
        assert cache.find_blob("0" * 64) is None
        cache.derive("wheel", KEY, fill)
        assert caplog.text.count("this run goes on without it") == 1
        store.close()
    assert not (tmp_path / "unmounted").exists()


@pytest.mark.parametrize("fault", ["full", "moved"])
def test_a_server_that_does_not_store_is_still_read(
    server: Server, over_http: Callable[..., Cache], caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    server.entries[BLOB] = DATA
    server.fault = fault
    cache = over_http("local")
    cache.derive("wheel", KEY, fill)
    cache.derive("wheel", "cd" * 32, fill)
    assert cache.find_blob(SHA256) is not None
    assert caplog.text.count("nothing more is uploaded") == 1


def test_a_poisoned_download_is_refused_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "shared" / BLOB
    place.parent.mkdir(parents=True)
    place.write_bytes(DATA + b"!")
    cache = over_folder(tmp_path, "local")
    assert cache.find_blob(SHA256) is None
    assert "is refused: its sha256 is not that of its name" in caplog.text
    add(cache)
    assert place.read_bytes() == DATA


def _tamper(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


def _label(secret: bytes = SECRET) -> packed_tree.Label:
    return packed_tree.Label(kind="wheel", key=KEY, secret=secret)


def _resign(data: bytes) -> bytes:
    """Sign with another key, as a poisoner would."""
    line, _, body = data.partition(b"\n")
    sha256 = json.loads(line)["sha256"]
    return packed_tree._line(_label(b"x" * 32), sha256, len(body), {}) + body


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_tamper, "other content than its label says"),
        (lambda data: data[:-20], "another size than its label says"),
        (lambda data: data[:10], "it is no packed tree"),
        (lambda _data: b"", "it is no packed tree"),
        (lambda data: data + b"\0", "another size"),
        (lambda data: b"[" * 5000 + data, "it is no packed tree"),
        (_resign, "its signature is not by BUILDER_REMOTE_CACHE_KEY"),
    ],
)
def test_a_damaged_tree_is_refused_made_here_and_replaced(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
    reason: str,
) -> None:
    made = over_folder(tmp_path, "first").derive("wheel", KEY, fill)
    place = tmp_path / "shared" / TREE
    place.write_bytes(damage(place.read_bytes()))
    second = over_folder(tmp_path, "second")
    assert look(second.derive("wheel", KEY, fill)) == look(made)
    assert reason in caplog.text
    assert caplog.text.count("WARNING") == 1
    assert counts(second) == {"refused": 1, "uploads": 1}
    assert look(over_folder(tmp_path, "third").derive("wheel", KEY, fail)) == look(made)


def test_an_entry_in_the_place_of_another_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    over_folder(tmp_path, "first").derive("wheel", KEY, fill)
    shared = tmp_path / "shared" / "derived"
    (shared / "stage").mkdir()
    (shared / "wheel" / KEY).rename(shared / "stage" / KEY)
    assert over_folder(tmp_path, "second").find_derived("stage", KEY) is None
    assert "the label of another entry" in caplog.text


def test_without_a_key_derived_things_are_neither_taken_nor_given(tmp_path: Path) -> None:
    add(over_folder(tmp_path, "first", secret=None))
    over_folder(tmp_path, "first", secret=None).derive("wheel", KEY, fill)
    assert not (tmp_path / "shared" / "derived").exists()
    over_folder(tmp_path, "second").derive("wheel", KEY, fill)
    third = over_folder(tmp_path, "third", secret=None)
    assert third.find_derived("wheel", KEY) is None
    assert third.find_blob(SHA256) is not None


def test_what_depends_on_the_build_host_stays_there(tmp_path: Path) -> None:
    cache = over_folder(tmp_path, "local")
    for kind in ("cpython", "sdist", "sysroot"):
        cache.derive(kind, KEY, fill)
    assert not (tmp_path / "shared" / "derived").exists()


def test_read_only_mode_writes_nothing(server: Server, over_http: Callable[..., Cache]) -> None:
    cache = over_http("local", writes=False)
    add(cache)
    cache.derive("wheel", KEY, fill)
    assert {method for method, _ in server.requests} == {"GET"}


def test_a_folder_entry_that_is_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(DATA)
    for make in (lambda place: place.symlink_to(secret), os.mkfifo):
        place = tmp_path / "shared" / BLOB
        place.parent.mkdir(parents=True, exist_ok=True)
        make(place)
        assert over_folder(tmp_path, "local").find_blob(SHA256) is None
        place.unlink()


def _packed(target: Path, members: list[tarfile.TarInfo]) -> None:
    """Pack any members with a valid signature, as a stolen key allows."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    body = zstandard.compress(raw.getvalue())
    sha256 = hashlib.sha256(body).hexdigest()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(packed_tree._line(_label(), sha256, len(body), {}) + body)


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = 1 if kind == tarfile.REGTYPE else 0
    return info


_EVIL = [
    [_member("../out")],
    [_member("/out")],
    [_member("a/../../out")],
    [_member("link", tarfile.SYMTYPE, "/etc"), _member("link/out")],
    [_member("link", tarfile.SYMTYPE, "../..")],
    [_member("link", tarfile.SYMTYPE, "/opt/backendai/../../etc/shadow")],
    [_member("link", tarfile.SYMTYPE, "/opt/backendaix/y")],
    [_member("python", tarfile.SYMTYPE, "/opt/backendai/x"), _member("python/out")],
    [_member("a/up", tarfile.SYMTYPE, ".."), _member("b", tarfile.SYMTYPE, "a/up/../x")],
    [_member("hard", tarfile.LNKTYPE, "/etc/passwd")],
    [_member("hard", tarfile.LNKTYPE, "../../out")],
    [_member("device", tarfile.CHRTYPE)],
    [_member("disk", tarfile.BLKTYPE)],
    [_member("pipe", tarfile.FIFOTYPE)],
    [_member("twice"), _member("twice")],
    [_member(".complete")],
    [_member(".sealed")],
]


@pytest.mark.parametrize("seed", range(3 * len(_EVIL)))
def test_a_signed_tree_that_reaches_outside_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    shuffle = random.Random(seed)
    members = [_member(f"d{shuffle.randrange(3)}/f{number}") for number in range(5)]
    where = shuffle.randrange(len(members) + 1)
    members[where:where] = _EVIL[seed % len(_EVIL)]
    _packed(tmp_path / "shared" / TREE, members)
    before = {path for path in tmp_path.rglob("*") if "local" not in path.parts}
    cache = over_folder(tmp_path, "local", writes=False)
    assert cache.find_derived("wheel", KEY) is None
    assert "is refused" in caplog.text
    assert {path for path in tmp_path.rglob("*") if "local" not in path.parts} == before
    assert list((cache.root / "tmp").iterdir()) == []
    assert cache.derive("wheel", KEY, fill).is_dir()


def test_an_upload_of_a_killed_build_goes_after_a_day(tmp_path: Path) -> None:
    part = tmp_path / "shared" / "tmp" / "part"
    part.parent.mkdir(parents=True)
    part.write_bytes(DATA[:10])
    os.utime(part, (1, 1))
    add(over_folder(tmp_path, "local"))
    assert not part.exists()
