"""A release tree on loopback that can misbehave the ways real servers do."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

Headers = dict[str, str]


@dataclass
class Behaviour:
    """What the server does to one path; counts are used up request by request."""

    statuses: list[int] = field(default_factory=list)  # answered first, one per request
    cut_after: list[int] = field(default_factory=list)  # bytes sent before the line drops
    silent_after: list[int] = field(default_factory=list)  # bytes sent before it stalls
    drip_s: float = 0.0  # pause after every single byte
    ranges: bool = True
    wrong_range: bool = False  # answers 206 from byte 0 whatever was asked
    etag: str | None = None
    length: bool = True
    redirect: str | None = None


@dataclass
class ReleaseServer:
    """Files by path (unquoted), how to serve them, and what was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    requests: list[tuple[str, Headers]] = field(default_factory=list)
    raw_paths: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def add(self, path: str, content: bytes, **behaviour: object) -> str:
        """Serve ``content`` at ``path``; returns its sha256."""
        self.files[path] = content
        self.behaviours[path] = Behaviour(**behaviour)  # type: ignore[arg-type]
        return hashlib.sha256(content).hexdigest()

    def ranges_asked(self) -> list[str | None]:
        """The Range header of every request so far."""
        return [headers.get("range") for _, headers in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: ReleaseServer

    def do_GET(self) -> None:
        path = unquote(self.path)
        self.state.raw_paths.append(self.path)
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.state.requests.append((path, headers))
        how = self.state.behaviours.get(path)
        if how is None:
            self.send_error(404)
        elif how.statuses and (status := how.statuses.pop(0)) != 200:
            self.send_error(status)
        elif how.etag and headers.get("if-none-match") == how.etag:
            self.send_response(304)
            self.end_headers()
        elif how.redirect is not None:
            self.send_response(302)
            self.send_header("Location", how.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send_file(self.state.files[path], how, headers)

    def _send_file(self, content: bytes, how: Behaviour, headers: Headers) -> None:
        start = self._start(how, headers)
        if start > len(content) or (start and start == len(content)):
            self.send_error(416)
            return
        sent_from = 0 if how.wrong_range else start
        body = content[sent_from:]
        self.send_response(206 if start else 200)
        if start:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {sent_from}-{last}/{len(content)}")
        if how.etag:
            self.send_header("ETag", how.etag)
        if how.length:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self._send_body(body, how)

    def _start(self, how: Behaviour, headers: Headers) -> int:
        asked = headers.get("range")
        if asked is None or not how.ranges:
            return 0
        if "if-range" in headers and headers["if-range"] != how.etag:
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _send_body(self, body: bytes, how: Behaviour) -> None:
        try:
            if how.cut_after:
                self.wfile.write(body[: how.cut_after.pop(0)])
                self.wfile.flush()
                self.close_connection = True
            elif how.silent_after:
                self.wfile.write(body[: how.silent_after.pop(0)])
                self.wfile.flush()
                self.state.stopping.wait(10)
                self.close_connection = True
            elif how.drip_s:
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(how.drip_s)
            else:
                self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client gave up, as it should

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def release_server() -> Iterator[ReleaseServer]:
    """A server on a free loopback port, for as long as the block runs."""
    state = ReleaseServer()
    handler = type("Handler", (_Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.005,))
        thread.start()
        try:
            yield state
        finally:
            state.stopping.set()
            server.shutdown()
            thread.join()
