"""A package index on loopback by PEP 691: JSON pages with the time when a file was uploaded."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from packaging.utils import canonicalize_name, parse_wheel_filename

_JSON = "application/vnd.pypi.simple.v1+json"
_EARLY = "2026-01-01T00:00:00Z"


@dataclass
class JsonIndex:
    """The wheels of a folder; ``uploaded`` has the times of those that were not there early."""

    folder: Path
    port: int = 0
    uploaded: dict[str, str] = field(default_factory=dict)  # file name to time

    @property
    def url(self) -> str:
        """The simple index."""
        return f"http://127.0.0.1:{self.port}/simple"

    def page(self, project: str) -> bytes | None:
        """The page of one project; None where no wheel is of it."""
        files = [
            self._file(wheel)
            for wheel in sorted(self.folder.glob("*.whl"))
            if parse_wheel_filename(wheel.name)[0] == canonicalize_name(project)
        ]
        meta = {"api-version": "1.1"}
        page = {"meta": meta, "name": project, "files": files}
        return json.dumps(page).encode() if files else None

    def _file(self, wheel: Path) -> dict[str, object]:
        data = wheel.read_bytes()
        return {
            "filename": wheel.name,
            "url": f"http://127.0.0.1:{self.port}/files/{wheel.name}",
            "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
            "size": len(data),
            "upload-time": self.uploaded.get(wheel.name, _EARLY),
        }


class _Server(ThreadingHTTPServer):
    index: JsonIndex


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        index, path = self.server.index, unquote(self.path)
        if path.startswith("/files/"):
            self._answer((index.folder / Path(path).name).read_bytes(), "application/zip")
            return
        page = index.page(path.strip("/").rpartition("/")[2])
        if page is None:
            self.send_error(404)
        else:
            self._answer(page, _JSON)

    do_HEAD = do_GET  # noqa: N815 - the base class's name

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay quiet."""


@contextmanager
def json_index(folder: Path) -> Iterator[JsonIndex]:
    """An index of the wheels in ``folder``, up as long as the block lasts."""
    index = JsonIndex(folder=folder)
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
