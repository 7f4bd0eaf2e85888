"""Where the entries of a remote cache lie: a folder, or a server that has GET, HEAD and PUT.

A store moves bytes and promises nothing about them: :mod:`builder.net.remote_cache` checks
each entry. An entry appears whole or not at all.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from builder.base.errors import BuilderError, UsageError
from builder.base.files import PUBLIC_FILE, hash_file, remove_unused
from builder.base.lazy import LazyModule
from builder.base.redact import redact
from builder.net.http import (
    RetryPolicy,
    TransientError,
    enforce_min_rate,
    open_client,
    read_body,
    stream,
)

if TYPE_CHECKING:
    import httpx
else:
    httpx = LazyModule("httpx")

MAX_ENTRY = 4 << 30
_CHUNK = 1 << 20
_SENT = 1 << 30
_STALE_S = 24 * 3600
# Making an entry takes seconds: a store that is slower than this is no help.
POLICY = RetryPolicy(tries=1, connect_s=3.0, read_s=10.0, window_s=10.0, window_bytes=1 << 20)


class StoreError(Exception):
    """The store cannot be used: absent, slow, full, or it refuses the request."""


class Store(Protocol):
    """A place for entries, by their names such as ``blobs/ab/abcd…``."""

    @property
    def is_network(self) -> bool:
        """Whether it is asked over the network."""

    def get(self, name: str, target: Path) -> str | None:
        """Copy an entry to the new file ``target``; returns its sha256, None if there is none."""

    def has(self, name: str) -> bool:
        """Return whether there is an entry of this name."""

    def put(self, name: str, source: Path, sha256: str, *, replace: bool = False) -> None:
        """Store a file, whose sha256 is given; ``replace`` an entry that is damaged."""

    def close(self) -> None:
        """Close connections."""


def open_store(place: str, token: str | None) -> Store:
    """Return the store at ``place``; raises UsageError if it is none of a known kind."""
    parts = urlsplit(place)
    if parts.scheme in ("http", "https"):
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise UsageError(
                f"BUILDER_REMOTE_CACHE is {redact(place)!r}: a plain URL is needed",
                hint="put the token into the file that BUILDER_REMOTE_CACHE_TOKEN_FILE names",
            )
        return HttpStore(url=place.rstrip("/"), token=token)
    if parts.scheme == "s3":
        from builder.net.s3_store import open_s3_store  # noqa: PLC0415 - it builds on this module

        return open_s3_store(place)
    if "://" in place:
        raise UsageError(
            f"BUILDER_REMOTE_CACHE is {redact(place)!r}: no cache of the kind {parts.scheme}://",
            hint="name a folder, a server by http:// or https://, or a bucket by s3://",
        )
    return FolderStore(root=Path(place).absolute())


@dataclass(frozen=True, kw_only=True)
class FolderStore:
    """A folder that exists: of this host, or of a network file system."""

    root: Path
    is_network: bool = False

    def get(self, name: str, target: Path) -> str | None:
        """Copy an entry; only a plain file is one."""
        try:
            self._check_root()
            file = os.open(self.root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.root / name}: {error.strerror}") from error
        try:
            with open(file, "rb", buffering=0):  # noqa: PTH123 - a descriptor
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise StoreError(f"{self.root / name}: not a plain file")
                if os.fstat(file).st_size > MAX_ENTRY:
                    raise StoreError(f"{self.root / name}: longer than {MAX_ENTRY} bytes")
                with target.open("xb") as copy:
                    _copy_within_kernel(file, copy.fileno())
            return hash_file(target)
        except OSError as error:
            raise StoreError(f"{self.root / name}: {error.strerror}") from error

    def has(self, name: str) -> bool:
        """Return whether there is a file of this name."""
        return (self.root / name).is_file()

    def put(
        self,
        name: str,
        source: Path,
        sha256: str,  # noqa: ARG002 - a copy is safe
        *,
        replace: bool = False,  # noqa: ARG002 - an entry is always replaced
    ) -> None:
        """Copy a file under a name of its own, then rename it."""
        place = self.root / name
        part = None
        try:
            self._check_root()
            unfinished = self.root / "tmp"
            unfinished.mkdir(exist_ok=True)
            remove_unused(unfinished.iterdir(), _STALE_S)  # what killed builds left
            place.parent.mkdir(parents=True, exist_ok=True)
            descriptor, text = tempfile.mkstemp(dir=unfinished)
            part = Path(text)
            with open(descriptor, "wb") as file, source.open("rb") as content:  # noqa: PTH123
                while chunk := content.read(_CHUNK):
                    file.write(chunk)
            part.chmod(PUBLIC_FILE)
            part.replace(place)
        except OSError as error:
            if part is not None:
                with suppress(OSError):
                    part.unlink(missing_ok=True)
            raise StoreError(f"{place}: {error.strerror}") from error

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _check_root(self) -> None:
        # Never made here: a file system that is not mounted would be filled below.
        if not self.root.is_dir():
            raise StoreError(f"{self.root}: no such folder")


@dataclass(kw_only=True)
class HttpStore:
    """A server; the token goes to it alone, in a header."""

    url: str
    token: str | None = None
    policy: RetryPolicy = POLICY
    is_network: bool = True

    def get(self, name: str, target: Path) -> str | None:
        """Fetch an entry; 404 is none."""
        try:
            with stream(self._client, self._place(name), self._headers("GET", name)) as answer:
                if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
                    return None
                self._check(answer)
                chunks = read_body(answer, self.policy)
                return _write(enforce_min_rate(chunks, self.policy), target)
        except (TransientError, BuilderError, OSError) as error:
            raise StoreError(f"{redact(self.url)}: {error}") from error

    def has(self, name: str) -> bool:
        """Ask by HEAD."""
        return self._send("HEAD", name).is_success

    def put(
        self,
        name: str,
        source: Path,
        sha256: str,
        *,
        replace: bool = False,  # noqa: ARG002 - an entry is always replaced
    ) -> None:
        """Upload the whole file by one request, with its checksum (RFC 9530)."""
        digest = base64.b64encode(bytes.fromhex(sha256)).decode()
        headers = {"Content-Digest": f"sha-256=:{digest}:"}
        self._check(self._upload(name, source, sha256, headers))

    def _upload(
        self, name: str, source: Path, sha256: str, headers: dict[str, str]
    ) -> httpx.Response:
        sent = {
            **headers,
            "Content-Length": str(source.stat().st_size),
            "Content-Type": "application/octet-stream",
        }
        with source.open("rb") as file:
            return self._send("PUT", name, sent, iter(lambda: file.read(_CHUNK), b""), sha256)

    def _send(
        self,
        method: str,
        name: str,
        headers: dict[str, str] | None = None,
        content: Iterator[bytes] | None = None,
        sha256: str = "",
    ) -> httpx.Response:
        sent = self._headers(method, name, sha256) | (headers or {})
        try:
            # A redirected PUT would become a GET, and look as if it had been stored.
            return self._client.request(
                method,
                self._place(name),
                headers=sent,
                content=content,
                follow_redirects=method == "HEAD",
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            reason = redact(str(error)) or type(error).__name__
            raise StoreError(f"{redact(self.url)}: {reason}") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @cached_property
    def _client(self) -> httpx.Client:
        return open_client(self.policy)

    def _place(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _headers(self, method: str, name: str, sha256: str = "") -> dict[str, str]:  # noqa: ARG002
        """Return the headers that say who asks; ``sha256`` is that of the body, if it has one."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def _check(self, answer: httpx.Response) -> None:
        if not answer.is_success:
            where = redact(str(answer.request.url))
            status = f"{answer.status_code} {answer.reason_phrase}".strip()
            raise StoreError(f"{where}: answered {status}")


def _copy_within_kernel(source: int, target: int) -> None:
    """Copy a file from its beginning; faster than to read it and to write it."""
    offset = 0
    while count := os.sendfile(target, source, offset, _SENT):
        offset += count


def _write(chunks: Iterator[bytes], target: Path) -> str:
    """Write a new file, hashed on the way; returns its sha256."""
    written = 0
    digest = hashlib.sha256()
    with target.open("xb") as file:
        for chunk in chunks:
            written += len(chunk)
            if written > MAX_ENTRY:
                raise StoreError(f"{target.name}: longer than {MAX_ENTRY} bytes")
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()
