"""Registries for tests: one as site.toml describes it, and one that answers on loopback."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from backendai_ctl.registries.model import Registry

PASSWORD = "never shown"
_BASIC = "Basic " + base64.b64encode(f"kim:{PASSWORD}".encode()).decode()


class Handler(BaseHTTPRequestHandler):
    """A registry as its kinds are: htpasswd, tokens, open; or something else."""

    kind: ClassVar[str] = "basic"

    def do_GET(self) -> None:  # the name is http.server's
        """Answer /v2/ and /token."""
        is_known = self.headers.get("Authorization") == _BASIC
        path = self.path.partition("?")[0]
        if self.kind == "else":
            self._answer(404, "<html>")
        elif self.kind == "tokens" and path == "/v2/":
            realm = f"http://127.0.0.1:{self.server.server_port}/token"  # type: ignore[attr-defined]
            self._answer(401, "", f'Bearer realm="{realm}",service="hub"')
        elif self.kind == "open" or is_known:
            self._answer(200, json.dumps({"token": "t"}))
        else:
            self._answer(401, "", 'Basic realm="hub"')

    def _answer(self, status: int, body: str, challenge: str = "") -> None:
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nothing to a test's output."""


@contextmanager
def serving(kind: str, certificate: Path | None = None) -> Iterator[str]:
    """HOST:PORT of a registry of that kind."""
    handler = type("Kind", (Handler,), {"kind": kind})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def registry(url: str = "https://hub.example.org", name: str = "", **answers: str) -> Registry:
    """One that is all right where ``answers`` do not say otherwise."""
    host = url.partition("//")[2].partition("/")[0]
    return Registry(
        section="registry",
        url=url,
        name=name or host,
        type=answers.get("type", "docker"),
        projects=tuple(answers.get("projects", "stable").split()),
        user=answers.get("user", ""),
        password=answers.get("password", ""),
        ca=answers.get("ca", ""),
    )
