"""A web server for trying a repository out: on loopback by default, read-only.

``http.server`` does the work. Here it gets the repository's media types, shows no folder
listings, and hides names that begin with a dot (the state of the repository).
"""

import functools
import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from builder.base import log
from builder.base.errors import UsageError
from builder.repo.publish.web import cache_control, content_type

LOOPBACK = "127.0.0.1"
# A younger file may change again within the second that Last-Modified can express.
_STABLE_AGE_S = 2
_MISSING = ".missing"  # a path that never exists: names with a dot in front are hidden


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "builder"
    sys_version = ""
    timeout = 60

    def translate_path(self, path: str) -> str:
        """Return the file that a request names; an absent path if the file may not be read."""
        root = Path(self.directory)
        parts = PurePosixPath(normpath("/" + unquote(urlsplit(path).path))).parts[1:]
        hidden = any(part.startswith(".") or "\0" in part for part in parts)
        found = root.joinpath(*parts) if not hidden else root / _MISSING
        # A link may lead elsewhere in the repository, not out of it.
        if not found.resolve().is_relative_to(root.resolve()):
            found = root / _MISSING
        # The base class refuses a file that is named with a slash at the end.
        return f"{found}/" if path.endswith("/") else str(found)

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """Send the headers; a file that is too young never gives a 304."""
        if _is_young(self.headers["If-Modified-Since"]):
            del self.headers["If-Modified-Since"]
        return super().send_head()

    def send_header(self, keyword: str, value: str) -> None:
        """Send a header, except the time of a file that may change within its second."""
        if keyword != "Last-Modified" or not _is_young(value):
            super().send_header(keyword, value)

    def guess_type(self, path: object) -> str:
        """Return the media type of a file."""
        return content_type(PurePosixPath(str(path)))

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin a response; a file gets its Cache-Control header."""
        super().send_response(code, message)
        if code in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED):
            name = PurePosixPath(urlsplit(self.path).path)
            self.send_header("Cache-Control", cache_control(name))

    def list_directory(self, path: object) -> io.BytesIO | None:  # noqa: ARG002 - the base class's
        """Refuse to list a folder that has no page."""
        self.send_error(HTTPStatus.NOT_FOUND)
        return None

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Report a request with ``-v``."""
        log.detail(f"{self.address_string()} {format % args}")


def _is_young(date: str | None) -> bool:
    try:
        when = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return False
    return time.time() - when <= _STABLE_AGE_S


class RepoServer(ThreadingHTTPServer):
    """A server of the folder ``root`` at ``url``."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, root: Path, address: tuple[str, int]) -> None:
        super().__init__(address, functools.partial(_Handler, directory=str(root)))

    @property
    def url(self) -> str:
        """The address to give to a client on this machine."""
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://{LOOPBACK if host == '0.0.0.0' else host}:{port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, but not a client that went away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def open_server(root: Path, *, host: str = LOOPBACK, port: int = 0) -> Iterator[RepoServer]:
    """Open a server that listens, for ``serve_forever``; port 0 takes a free port.

    Raises UsageError if ``root`` is no folder or the address cannot be used.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder", hint="publish the repository there first")
    try:
        server = RepoServer(root, (host, port))
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"cannot listen on {host}, port {port}: {why}", hint="choose another with --port"
        ) from error
    with server:
        yield server


def serve(root: Path, host: str, port: int) -> None:
    """Serve the folder ``root`` until interrupted, which is no failure."""
    with open_server(root, host=host, port=port) as server:
        log.step(f"serving {root} at {server.url}/ until Ctrl-C")
        if not ip_address(str(server.server_address[0])).is_loopback:
            log.warn(f"everybody who reaches {host} can read it: this server is for trying out")
        with suppress(KeyboardInterrupt):
            server.serve_forever()
