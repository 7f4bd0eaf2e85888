"""A web server for trying a repository out: loopback unless told otherwise, read-only.

It answers what apt, dnf and zypper ask for: HEAD, ranges, and conditional requests. What
begins with a dot (the state of the repository) is not there for it.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

from builder.base import log
from builder.base.errors import UsageError
from builder.repo.publish.web import cache_control, content_type

LOOPBACK = "127.0.0.1"
_CHUNK = 1 << 20
# Before this age a file may change again within the second that Last-Modified can name.
_SETTLED_S = 2
_RANGE = re.compile(r"bytes=(?:(\d+)-(\d*)|-(\d+))")
_INDEX = "index.html"


@dataclass(frozen=True, kw_only=True)
class Part:
    """The bytes of a file that are sent; ``whole`` where no range was asked for."""

    start: int
    length: int
    whole: bool


def part_of(header: str | None, size: int) -> Part | None:
    """What a Range header asks of a file of ``size`` bytes, or None where it has no such. Pure.

    Several ranges at once, and what is no range of bytes, are answered with the whole file,
    as RFC 9110 allows.
    """
    match = _RANGE.fullmatch(header.replace(" ", "")) if header else None
    if match is None:
        return Part(start=0, length=size, whole=True)
    if match[3]:
        start, end = max(0, size - int(match[3])), size
    else:
        start, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
    if match[2] and int(match[2]) < int(match[1]):
        return Part(start=0, length=size, whole=True)
    return Part(start=start, length=end - start, whole=False) if start < end else None


def file_path(root: Path, target: str) -> Path | None:
    """The file under ``root`` that a request names, or None where it may not be read."""
    path = PurePosixPath(normpath("/" + unquote(urlsplit(target).path)))
    parts = path.parts[1:]
    if any(part.startswith(".") or "\0" in part for part in parts):
        return None
    found = root.joinpath(*parts)
    try:
        # A link may lead elsewhere in the repository, not out of it.
        return found if found.resolve().is_relative_to(root.resolve()) else None
    except OSError:
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "builder"
    sys_version = ""
    timeout = 60
    server: "RepoServer"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = file_path(self.server.root, self.path)
        try:
            if path is None:
                raise FileNotFoundError
            if path.is_dir():
                if not urlsplit(self.path).path.endswith("/"):
                    self._redirect()
                    return
                path /= _INDEX
            with path.open("rb") as file:
                # By the open file: a publication may put another in its place meanwhile.
                self._send(path, file, os.fstat(file.fileno()))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _redirect(self) -> None:
        path = normpath("/" + unquote(urlsplit(self.path).path)).lstrip("/")
        self.send_response(HTTPStatus.MOVED_PERMANENTLY)
        self.send_header("Location", f"/{quote(path)}/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, path: Path, file: BinaryIO, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError
        etag = f'"{found.st_size:x}-{found.st_mtime_ns:x}"'
        modified = datetime.fromtimestamp(int(found.st_mtime), UTC)
        if self._is_known(etag, modified):
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.send_header("ETag", etag)
            self.end_headers()
            return
        asked = self.headers["Range"] if self._may_be_partial(etag, modified) else None
        part = part_of(asked, found.st_size)
        if part is None:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{found.st_size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._send_headers(PurePosixPath(path.name), part, found.st_size, etag)
        if _is_settled(modified):
            self.send_header("Last-Modified", format_datetime(modified, usegmt=True))
        self.end_headers()
        if self.command == "GET":
            self._send_bytes(file, part)

    def _send_headers(self, name: PurePosixPath, part: Part, size: int, etag: str) -> None:
        self.send_response(HTTPStatus.OK if part.whole else HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", content_type(name))
        self.send_header("Content-Length", str(part.length))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Cache-Control", cache_control(name))
        self.send_header("ETag", etag)
        if not part.whole:
            end = part.start + part.length - 1
            self.send_header("Content-Range", f"bytes {part.start}-{end}/{size}")

    def _send_bytes(self, file: BinaryIO, part: Part) -> None:
        file.seek(part.start)
        left = part.length
        while left:
            block = file.read(min(_CHUNK, left))
            if not block:
                self.close_connection = True  # cut short on disk: the client sees it
                return
            self.wfile.write(block)
            left -= len(block)

    def _is_known(self, etag: str, modified: datetime) -> bool:
        tags = self.headers["If-None-Match"]
        if tags is not None:
            return tags.strip() == "*" or etag in (tag.strip() for tag in tags.split(","))
        since = _parse_date(self.headers["If-Modified-Since"])
        return since is not None and modified <= since and _is_settled(modified)

    def _may_be_partial(self, etag: str, modified: datetime) -> bool:
        """Whether the part that the client has is of these very bytes."""
        condition = self.headers["If-Range"]
        if condition is None or condition == etag:
            return True
        return _parse_date(condition) == modified and _is_settled(modified)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        log.detail(f"{self.address_string()} {format % args}")


def _is_settled(modified: datetime) -> bool:
    return (datetime.now(UTC) - modified).total_seconds() > _SETTLED_S


def _parse_date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except ValueError:
        return None


class RepoServer(ThreadingHTTPServer):
    """Serves the folder ``root``; ``url`` is where."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, root: Path, address: tuple[str, int]) -> None:
        self.root = root
        super().__init__(address, _Handler)

    @property
    def url(self) -> str:
        """The address to give to a client on this machine."""
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://{LOOPBACK if host == '0.0.0.0' else host}:{port}"


@contextmanager
def open_server(root: Path, *, host: str = LOOPBACK, port: int = 0) -> Iterator[RepoServer]:
    """A server that listens, for ``serve_forever``; port 0 takes a free one.

    Raises UsageError where ``root`` is no folder or the address is not to be had.
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
            log.warn(f"whoever reaches {host} can read it: this server is for trying out")
        with suppress(KeyboardInterrupt):
            server.serve_forever()
