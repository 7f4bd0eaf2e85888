"""A package index on loopback that wants a password for its pages and its files."""

import base64
import hashlib
import html
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

from packaging.utils import canonicalize_name, parse_wheel_filename


@dataclass
class ProtectedIndex:
    """The wheels of a folder as a simple index; ``account`` is USER:PASSWORD."""

    folder: Path
    account: str
    port: int = 0
    files_redirect_to: str = ""  # a base URL that files are redirected to
    seen: list[tuple[str, str]] = field(default_factory=list)  # path and Authorization

    @property
    def url(self) -> str:
        """The simple index without credentials."""
        return f"http://127.0.0.1:{self.port}/simple"

    def page(self, project: str) -> bytes:
        """The page of one project."""
        rows = []
        for wheel in sorted(self.folder.glob("*.whl")):
            if parse_wheel_filename(wheel.name)[0] == canonicalize_name(project):
                digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
                href = f"/files/{quote(wheel.name)}#sha256={digest}"
                rows.append(f'<a href="{href}">{html.escape(wheel.name)}</a>')
        return f"<!DOCTYPE html><html><body>{''.join(rows)}</body></html>".encode()


class _Server(ThreadingHTTPServer):
    index: ProtectedIndex


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        index = self.server.index
        given = self.headers.get("Authorization", "")
        path = unquote(self.path)
        index.seen.append((path, given))
        wanted = "Basic " + base64.b64encode(index.account.encode()).decode()
        if given != wanted:
            self._answer(401, b"", {"WWW-Authenticate": 'Basic realm="index"'})
        elif path.startswith("/files/") and index.files_redirect_to:
            self._answer(302, b"", {"Location": index.files_redirect_to + self.path})
        elif path.startswith("/files/"):
            file = index.folder / Path(path).name
            self._answer(200, file.read_bytes(), {"Content-Type": "application/octet-stream"})
        else:
            page = index.page(path.strip("/").rpartition("/")[2])
            self._answer(200, page, {"Content-Type": "text/html"})

    do_HEAD = do_GET  # noqa: N815 - the base class's name

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay quiet: the tests read ``seen``."""


@contextmanager
def protected_index(folder: Path, account: str) -> Iterator[ProtectedIndex]:
    """An index of the wheels in ``folder``, up as long as the block lasts."""
    index = ProtectedIndex(folder=folder, account=account)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.index = index
    index.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
