"""Downloads: streamed, hashed on the way, resumed, and kept by their sha256.

An interrupted download stays in the cache's ``tmp/`` as ``SHA256.part``; the next
one continues there. Whatever a server answers, only the pinned bytes become a blob.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from builder.base import log
from builder.base.cache import Cache
from builder.base.errors import FetchError, OfflineError
from builder.base.lazy import LazyModule
from builder.base.redact import redact
from builder.base.storage import storage_guard
from builder.net.http import (
    DEFAULT_POLICY,
    NETWORK_HINT,
    RetryPolicy,
    TransientError,
    check_status,
    enforce_min_rate,
    file_name,
    local_path,
    open_client,
    retry,
    stream,
)

if TYPE_CHECKING:
    import httpx
else:
    httpx = LazyModule("httpx")

_CHUNK = 1 << 20
_MAX_BLOB = 8 << 30


class HashMismatchError(FetchError):
    """The download is complete, but its bytes are not the pinned ones."""


def fetch_blob(  # noqa: PLR0913 - all but the URL by keyword
    url: str,
    *,
    sha256: str,
    cache: Cache,
    offline: bool = False,
    label: str | None = None,
    size: int | None = None,
    client: httpx.Client | None = None,
    policy: RetryPolicy = DEFAULT_POLICY,
) -> Path:
    """Return the file with this sha256: from the cache, or else fetched from ``url`` into it.

    Progress is shown if there is a ``label``. Safe to call from many threads and
    processes at once; a file:// URL is read even when ``offline``.
    """
    found = cache.find_blob(sha256)
    if found is not None:
        return found
    name = label or file_name(url)
    local = local_path(url)
    if offline and local is None:
        raise OfflineError(
            f"{name} is not in the cache {cache.root} (sha256 {sha256[:12]}…, from {redact(url)})",
            hint="run 'builder fetch' on a host with network, then bring its cache here"
            " and point BUILDER_CACHE at it",
        )
    with cache.locked(f"blob-{sha256}"):
        found = cache.find_blob(sha256)  # another thread or process may just have fetched it
        if found is not None:
            return found
        part = cache.root / "tmp" / f"{sha256}.part"
        with storage_guard(part):
            part.parent.mkdir(parents=True, exist_ok=True)
            with _shown(label, size) as advance:
                transfer = _Transfer(
                    url=url, sha256=sha256, part=part, size=size, advance=advance, policy=policy
                )
                if local is not None:
                    transfer.copy(local)
                else:
                    transfer.download(client)
            return cache.keep_blob(part, sha256)


@dataclass(kw_only=True)
class _Transfer:
    """One file on its way into ``part``."""

    url: str
    sha256: str
    part: Path
    size: int | None
    advance: log.Advance
    policy: RetryPolicy
    etag: str | None = None
    done: int = 0
    hash: hashlib._Hash = field(default_factory=hashlib.sha256)
    resumed: bool = False

    def copy(self, source: Path) -> None:
        """Copy the bytes from a file of this host."""
        self._restart()
        try:
            file = source.open("rb")
        except OSError as error:
            raise FetchError(
                f"cannot read {source}: {error.strerror}", hint=NETWORK_HINT
            ) from error
        with file, self.part.open("wb") as part:
            while chunk := file.read(_CHUNK):
                self._take(chunk, part)
        self._check()

    def download(self, client: httpx.Client | None) -> None:
        """Fetch the bytes by HTTP, and continue the part of an earlier run."""
        if self._resume():
            return
        with nullcontext(client) if client else open_client(self.policy) as http:
            self._retried(http)
            if self.hash.hexdigest() != self.sha256 and self.resumed:
                # The two halves may be of different files: fetch a clean copy.
                log.step(f"{file_name(self.url)}: the resumed file is damaged, fetching it anew")
                self._restart()
                self._retried(http)
        self._check()

    def _retried(self, http: httpx.Client) -> None:
        retry(self.url, self.policy, lambda: self._attempt(http), lambda: self.done)

    def _resume(self) -> bool:
        """Hash the part of an earlier run; returns whether that is the whole file."""
        if not self.part.is_file():
            return False
        with self.part.open("rb") as part:
            while chunk := part.read(_CHUNK):
                self.hash.update(chunk)
                self.done += len(chunk)
        self.advance(self.done)
        return self.hash.hexdigest() == self.sha256

    def _restart(self) -> None:
        self.advance(-self.done)
        self.done = 0
        self.hash = hashlib.sha256()
        self.resumed = False
        self.etag = None
        self.part.unlink(missing_ok=True)

    def _attempt(self, http: httpx.Client) -> None:
        headers = {}
        if self.done:
            headers["Range"] = f"bytes={self.done}-"
            if self.etag:
                headers["If-Range"] = self.etag
        with stream(http, self.url, headers) as answer:
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and self.done:
                self._restart()
                raise TransientError("the server has no such range")
            check_status(answer, self.url)
            expected = self._begin(answer)
            with self.part.open("ab") as part:
                for chunk in enforce_min_rate(answer.iter_raw(), self.policy):
                    self._take(chunk, part)
        # A missing Content-Length lets a cut connection pass for the end of the file.
        if expected is not None and self.done < expected:
            raise TransientError(f"only {self.done} of {expected} bytes came")

    def _begin(self, answer: httpx.Response) -> int | None:
        """Find the offset of this response's bytes; returns the whole file's length."""
        partial = answer.status_code == httpx.codes.PARTIAL_CONTENT
        if partial and not _starts_at(answer, self.done):
            self._restart()
            raise TransientError("the server answered with another range")
        if partial:
            self.resumed = True
        elif self.done:
            self._restart()  # the server ignores Range, or the file changed under its ETag
        etag = answer.headers.get("ETag", "")
        self.etag = etag if etag.startswith('"') else None  # weak ones do not promise bytes
        length = answer.headers.get("Content-Length", "")
        total = self.done + int(length) if length.isdigit() else None
        if total is not None and self.size is not None and total != self.size:
            raise FetchError(
                f"{redact(self.url)} is {total} bytes long, but {self.size} are pinned",
                hint="the server has another file than the pinned one; " + NETWORK_HINT,
            )
        return total if total is not None else self.size

    def _take(self, chunk: bytes, part: BinaryIO) -> None:
        self.done += len(chunk)
        limit = self.size if self.size is not None else _MAX_BLOB
        if self.done > limit:
            part.close()
            self._restart()
            raise FetchError(f"{redact(self.url)} is longer than {limit} bytes", hint=NETWORK_HINT)
        part.write(chunk)
        self.hash.update(chunk)
        self.advance(len(chunk))

    def _check(self) -> None:
        found = self.hash.hexdigest()
        if found != self.sha256:
            self.part.unlink(missing_ok=True)
            raise HashMismatchError(
                f"{redact(self.url)}: sha256 is {found}, but {self.sha256} is pinned",
                hint="the server or a proxy sends different content: do not use it;"
                " try another mirror, or check the pin against its publisher",
            )


def _starts_at(answer: httpx.Response, offset: int) -> bool:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == offset


def _shown(label: str | None, size: int | None) -> AbstractContextManager[log.Advance]:
    return log.progress(label, size) if label else nullcontext(lambda _amount: None)
