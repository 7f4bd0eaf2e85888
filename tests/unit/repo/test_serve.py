"""The server for trying out: types, conditions, and what it must not show."""

import http.client
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from builder.base.errors import UsageError
from builder.repo.serve import RepoServer, open_server, serve

_CONTENT = bytes(range(256)) * 40
_OLD = 1_700_000_000


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree, with something beside it that is nobody's business."""
    tree = tmp_path / "public"
    (tree / "pool" / ".hidden").mkdir(parents=True)
    (tree / "pool" / "a_1+b~c_all.deb").write_bytes(_CONTENT)
    (tree / "pool" / ".hidden" / "state").write_text("secret")
    (tree / "index.html").write_text("<p>hello</p>")
    (tmp_path / "secret").write_text("secret")
    (tree / "leak").symlink_to(tmp_path / "secret")
    (tree / "same").symlink_to("index.html")
    os.utime(tree / "pool" / "a_1+b~c_all.deb", (_OLD, _OLD))
    return tree


@pytest.fixture
def server(root: Path) -> Iterator[RepoServer]:
    """It serves the tree on a free port."""
    with open_server(root) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.005,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


_DEB = "/pool/a_1+b~c_all.deb"


def _ask(server: RepoServer, path: str, method: str = "GET", **headers: str) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        response = connection.getresponse()
        return Answer(status=response.status, headers=response.headers, body=response.read())
    finally:
        connection.close()


def test_a_file_comes_whole_with_what_clients_need(server: RepoServer) -> None:
    answer = _ask(server, _DEB)
    assert (answer.status, answer.body) == (200, _CONTENT)
    assert answer.headers["Content-Type"] == "application/vnd.debian.binary-package"
    assert answer.headers["Last-Modified"] == formatdate(_OLD, usegmt=True)
    assert "immutable" in answer.headers["Cache-Control"]


def test_escapes_in_an_address_are_read(server: RepoServer) -> None:
    assert _ask(server, "/pool/a_1%2bb%7ec_all.deb?x=1").body == _CONTENT


def test_head_says_the_same_without_the_bytes(server: RepoServer) -> None:
    head, get = _ask(server, _DEB, "HEAD"), _ask(server, _DEB)
    assert head.body == b""
    assert head.headers["Content-Length"] == str(len(_CONTENT)) == get.headers["Content-Length"]


def test_what_the_client_has_is_not_sent_again(server: RepoServer) -> None:
    assert _ask(server, _DEB, If_Modified_Since=formatdate(_OLD, usegmt=True)).status == 304
    assert _ask(server, _DEB, If_Modified_Since=formatdate(_OLD - 1, usegmt=True)).status == 200
    assert _ask(server, _DEB, If_Modified_Since="no date").status == 200


def test_a_file_that_may_change_within_its_second_is_always_sent(
    server: RepoServer, root: Path
) -> None:
    """Else apt would keep an InRelease that two quick publications made stale."""
    (root / "InRelease").write_text("new")
    answer = _ask(server, "/InRelease")
    assert "Last-Modified" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-cache"
    later = formatdate((root / "InRelease").stat().st_mtime + 5, usegmt=True)
    assert _ask(server, "/InRelease", If_Modified_Since=later).status == 200


def test_a_folder_has_its_page(server: RepoServer) -> None:
    answer = _ask(server, "/")
    assert answer.body == b"<p>hello</p>"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    moved = _ask(server, "/pool")
    assert (moved.status, moved.headers["Location"]) == (301, "/pool/")
    assert _ask(server, "//pool").headers["Location"] == "/pool/"
    assert _ask(server, "/pool/").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/pool/.hidden/state",
        "/../secret",
        "/%2e%2e/secret",
        "/pool/..%2f..%2f..%2fsecret",
        "/leak",
        "/a%00b",
        "/none",
        "/" + "x" * 300,
    ],
)
def test_nothing_else_is_shown(server: RepoServer, path: str) -> None:
    answer = _ask(server, path)
    assert answer.status == 404
    assert b"secret" not in answer.body


def test_a_link_inside_the_tree_is_followed(server: RepoServer) -> None:
    assert _ask(server, "/same").body == b"<p>hello</p>"


def test_a_download_that_asks_for_a_part_gets_the_whole_file(server: RepoServer) -> None:
    answer = _ask(server, _DEB, Range="bytes=5-")
    assert (answer.status, answer.body) == (200, _CONTENT)


def test_one_connection_serves_many_requests(server: RepoServer) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    for path, status in ((_DEB, 200), ("/none", 404), ("/", 200), ("/pool", 301), (_DEB, 200)):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


def test_an_address_in_use_is_said(server: RepoServer, root: Path) -> None:
    port = int(server.server_address[1])
    with (
        pytest.raises(UsageError, match=rf"port {port}.*in use") as caught,
        open_server(root, port=port),
    ):
        pass
    assert caught.value.hint


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"), open_server(tmp_path / "none"):
        pass


def test_an_interrupt_ends_it_well(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(server: RepoServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RepoServer, "serve_forever", interrupt)
    serve(root, "127.0.0.1", 0)
