"""Documents that no pin knows, and that change: fetched when they have, else from the cache.

A copy stays in the cache with the server's word for its version, so that an unchanged
document is not sent again, and is there when the server is not.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder.base import log
from builder.base.cache import Cache, key_of
from builder.base.errors import FetchError, OfflineError
from builder.base.files import hash_file
from builder.base.lazy import LazyModule
from builder.base.parse import TextError, parse_json_object
from builder.base.redact import redact
from builder.base.storage import replacing, storage_guard
from builder.net.http import (
    DEFAULT_POLICY,
    RetryPolicy,
    TransientError,
    UnreachableError,
    check_status,
    enforce_min_rate,
    open_client,
    retry,
    stream,
)

if TYPE_CHECKING:
    import httpx
else:
    httpx = LazyModule("httpx")

_MOST = 2 << 30  # bytes: OSV's largest snapshot has some hundred MB
_FOLDER = "latest"


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """What is known of a copy in the cache."""

    sha256: str
    fetched: str  # UTC
    etag: str
    modified: str  # as the server writes it


def fetch_latest(
    url: str, cache: Cache, *, offline: bool = False, policy: RetryPolicy = DEFAULT_POLICY
) -> Path:
    """Return a file with the document at ``url``, as it is now or was when it was fetched last.

    A copy is used, with a warning, if the server cannot be reached, or without one if
    ``offline``. Raises OfflineError or UnreachableError where there is none.
    """
    key = key_of(url)
    path = cache.root / _FOLDER / key
    with cache.locked(f"{_FOLDER}-{key}"):
        copy = _load(path)
        if offline:
            if copy is None:
                raise OfflineError(f"offline, and the cache has no copy of {redact(url)}")
            return path
        try:
            with open_client(policy) as client:
                retry(url, policy, lambda: _fetch(client, url, path, copy, policy), lambda: 0)
        except UnreachableError as error:
            if copy is None:
                raise
            log.warn(f"{error.message}: its copy of {copy.fetched} is used")
    return path


def _load(path: Path) -> _Copy | None:
    """Return what is known of a copy; None if there is none, or not as it was written."""
    try:
        copy = _Copy(**parse_json_object(_notes(path).read_bytes()))
        return copy if hash_file(path) == copy.sha256 else None
    except (OSError, TextError, TypeError):
        return None


def _notes(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _fetch(
    client: httpx.Client, url: str, path: Path, copy: _Copy | None, policy: RetryPolicy
) -> None:
    headers = {"If-None-Match": copy.etag} if copy and copy.etag else {}
    if copy and copy.modified:
        headers["If-Modified-Since"] = copy.modified
    with stream(client, url, headers) as answer:
        if urlsplit(url).scheme == "https" and answer.url.scheme != "https":
            raise FetchError(f"{redact(url)} redirects to an unencrypted address")
        if answer.status_code == httpx.codes.NOT_MODIFIED and copy:
            return
        check_status(answer, url)
        with storage_guard(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            _write(answer, url, part, policy)
        found = _Copy(
            sha256=hash_file(path),
            fetched=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            etag=answer.headers.get("ETag", ""),
            modified=answer.headers.get("Last-Modified", ""),
        )
    with replacing(_notes(path)) as notes:
        notes.write_text(json.dumps(asdict(found)), encoding="utf-8")


def _write(answer: httpx.Response, url: str, part: Path, policy: RetryPolicy) -> None:
    done = 0
    with part.open("wb") as file:
        for chunk in enforce_min_rate(answer.iter_raw(), policy):
            done += len(chunk)
            if done > _MOST:
                raise FetchError(f"{redact(url)} is longer than {_MOST} bytes")
            file.write(chunk)
    length = answer.headers.get("Content-Length", "")
    if length.isdigit() and done != int(length):
        raise TransientError(f"only {done} of {length} bytes came")
