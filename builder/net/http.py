"""HTTP: the client, the faults that are retried, the waits.

Every fault of a server or network becomes a :class:`TransientError`, which :func:`retry`
tries again, or a FetchError, which is final.
"""

from __future__ import annotations

import functools
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar
from urllib.parse import unquote, urlsplit

import certifi

from builder.base import log
from builder.base.errors import FetchError, UsageError
from builder.base.lazy import LazyModule
from builder.base.redact import redact
from builder.net.credentials import load_credentials

if TYPE_CHECKING:
    import httpcore
    import httpx
else:
    httpcore = LazyModule("httpcore")
    httpx = LazyModule("httpx")

NETWORK_HINT = (
    "check the network and HTTPS_PROXY; for Python itself, name a mirror with --mirror or"
    " BUILDER_PYTHON_MIRROR, or use --runtime source or --runtime archive"
)
_MAX_TEXT = 16 << 20
_READ = 1 << 20  # bytes
_DIGITS = 19  # of a length
# A try that fetched this much restarts the count of tries.
_REAL_GAIN = 1 << 20

T = TypeVar("T")


class UnreachableError(FetchError):
    """The server could not be reached, or never sent a whole response."""

    def __init__(
        self, url: str, *, reason: str, detail: str = "", hint: str = NETWORK_HINT
    ) -> None:
        super().__init__(f"cannot fetch {redact(url)}: {reason}{detail}", hint=hint)
        self.reason = reason


class TransientError(Exception):
    """This try failed in a way that another may not."""


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """The tries, waits and timeouts of a download before it fails."""

    tries: int = 4
    backoff_s: float = 1.0  # doubled after every try
    connect_s: float = 10.0
    read_s: float = 30.0
    # Slower than this many bytes in this window counts as stalled.
    window_s: float = 60.0
    window_bytes: int = 64 << 10


DEFAULT_POLICY = RetryPolicy()
_SHOWN = 200  # characters of a URL in a message


def open_client(policy: RetryPolicy = DEFAULT_POLICY) -> httpx.Client:
    """Open a client to share between threads, with the environment's proxies and CA bundle."""
    # Each read goes through a parser in Python: httpcore's own 64 KiB make it the costliest part.
    httpcore.HTTP11Connection.READ_NUM_BYTES = _READ
    timeout = httpx.Timeout(policy.read_s, connect=policy.connect_s, pool=None)
    credentials = load_credentials()

    def authorize(request: httpx.Request) -> None:
        # Called for each request, redirects included, so that no server gets another
        # server's password.
        account = credentials.find(str(request.url))
        if account and "Authorization" not in request.headers:
            request.headers["Authorization"] = account.header

    return httpx.Client(
        timeout=timeout,
        follow_redirects=True,
        event_hooks={"request": [authorize]},
        verify=_trust(),
        # A tarball must arrive unchanged, not unpacked by a Content-Encoding.
        headers={"Accept-Encoding": "identity", "User-Agent": "backendai-builder"},
    )


def fetch_text(
    url: str, *, client: httpx.Client | None = None, policy: RetryPolicy = DEFAULT_POLICY
) -> str:
    """Fetch a small document that has no pin, such as a release's SHA256SUMS."""
    local = local_path(url)
    if local is not None:
        try:
            return local.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FetchError(f"cannot read {local}: {error}") from error
    with nullcontext(client) if client else open_client(policy) as http:
        return retry(url, policy, lambda: _read_text(http, url), lambda: 0)


def retry(url: str, policy: RetryPolicy, attempt: Callable[[], T], done: Callable[[], int]) -> T:
    """Call ``attempt`` until it succeeds or the tries are used up.

    A file on a bad line may need many tries. A try that fetched much more than any before
    it does not count against the limit; so the loop still ends.
    """
    failures = 0
    furthest = done()
    while True:
        try:
            return attempt()
        except TransientError as error:
            if done() - furthest >= _REAL_GAIN:
                furthest = done()
                failures = 0
            failures += 1
            if failures >= policy.tries:
                tried = f" (tried {failures} times)"
                raise UnreachableError(url, reason=str(error), detail=tried) from error
            wait = policy.backoff_s * 2 ** (failures - 1)
            log.step(f"{file_name(url)}: {error}; trying again in {wait:.0f} s")
            time.sleep(wait)


@contextmanager
def stream(http: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """Request ``url``; raises TransientError for faults that may pass, FetchError for others."""
    _check_host(url)
    try:
        with http.stream("GET", url, headers=headers) as answer:
            yield answer
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise UsageError(
            f"{redact(url)!r} is no URL to fetch from: {error}",
            hint="give an http://, https:// or file:// URL",
        ) from error
    except httpx.TransportError as error:
        _raise_for(error, url)
    except httpx.TooManyRedirects as error:
        raise FetchError(f"{redact(url)} redirects in circles", hint=NETWORK_HINT) from error


def read_body(answer: httpx.Response, policy: RetryPolicy) -> Iterator[bytes]:
    """Yield the body as it was sent; a large one from its connection, which then is closed.

    The parser of HTTP copies each byte three times. Of a body of known length it is needed for
    the beginning only: what it has read with the header is in the first chunk.
    """
    chunks = answer.iter_raw()
    first = next(chunks, b"")
    yield first
    length = answer.headers.get("Content-Length", "")
    source = answer.extensions.get("network_stream")
    left = int(length) - len(first) if length.isdecimal() and len(length) < _DIGITS else 0
    is_plain = answer.http_version == "HTTP/1.1" and "Transfer-Encoding" not in answer.headers
    if source is None or left < _READ or not is_plain:
        yield from chunks
        return
    while left:
        try:
            data = source.read(min(left, _READ), timeout=policy.read_s)
        except (httpcore.TimeoutException, httpcore.NetworkError) as error:
            raise TransientError("the server fell silent") from error
        if not data:
            raise TransientError(f"the server closed the connection {left} bytes before the end")
        left -= len(data)
        yield data


def _check_host(url: str) -> None:
    """Refuse a name with a part of more than 63 bytes, on which the resolver's encoding fails."""
    try:
        (urlsplit(url).hostname or "").encode("idna")
    except ValueError as error:  # UnicodeError among them
        raise UsageError(
            f"{redact(url)[:_SHOWN]!r} is no URL to fetch from: its host's name is not valid",
            hint="give an http://, https:// or file:// URL",
        ) from error


def _raise_for(error: httpx.TransportError, url: str) -> NoReturn:
    causes = list(_causes(error))
    reason = redact(str(error)) or type(error).__name__
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        # A host without a route to the name fails at once, and would fail again.
        detail = f": {urlsplit(url).hostname} does not resolve ({reason})"
        raise UnreachableError(url, reason="no such host", detail=detail) from error
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        raise UnreachableError(
            url,
            reason="its certificate is not trusted",
            detail=f": {reason}",
            hint="point SSL_CERT_FILE at your CA bundle; " + NETWORK_HINT,
        ) from error
    if isinstance(error, httpx.TimeoutException):
        reason = "timed out while connecting" if _is_connecting(error) else "the server fell silent"
    raise TransientError(reason) from error


def _is_connecting(error: httpx.TimeoutException) -> bool:
    return isinstance(error, httpx.ConnectTimeout)


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def check_status(answer: httpx.Response, url: str) -> None:
    status = f"{answer.status_code} {answer.reason_phrase}".strip()
    if answer.is_server_error:
        raise TransientError(f"the server answered {status}")
    if not answer.is_success:
        raise FetchError(f"cannot fetch {redact(url)}: answered {status}", hint=NETWORK_HINT)


def enforce_min_rate(chunks: Iterator[bytes], policy: RetryPolicy) -> Iterator[bytes]:
    """Pass ``chunks`` on; raises TransientError if they come too slowly to wait for.

    The read timeout does not see a server that sends a byte now and then.
    """
    began = time.monotonic()
    came = 0
    for chunk in chunks:
        yield chunk
        came += len(chunk)
        elapsed = time.monotonic() - began
        if elapsed < policy.window_s:
            continue
        if came < policy.window_bytes:
            raise TransientError(f"too slow: {came} bytes in {elapsed:.0f} s")
        began, came = time.monotonic(), 0


def _read_text(http: httpx.Client, url: str) -> str:
    with stream(http, url, {}) as answer:
        check_status(answer, url)
        if urlsplit(url).scheme == "https" and answer.url.scheme != "https":
            raise FetchError(f"{redact(url)} redirects to an unencrypted address")
        text = bytearray()
        for chunk in enforce_min_rate(answer.iter_raw(), DEFAULT_POLICY):
            text += chunk
            if len(text) > _MAX_TEXT:
                raise FetchError(f"{redact(url)} is longer than {_MAX_TEXT} bytes")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise FetchError(f"{redact(url)} is not text") from error


def _trust() -> ssl.SSLContext:
    """Trust SSL_CERT_FILE and SSL_CERT_DIR, or else this host's bundle and Mozilla's."""
    named = os.environ.get("SSL_CERT_FILE")
    if named and not Path(named).is_file():
        raise UsageError(
            f"SSL_CERT_FILE names {named!r}, which does not exist",
            hint="point it at your CA bundle, or unset it",
        )
    if named or os.environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context()
    return _default_trust()


@functools.cache
def _default_trust() -> ssl.SSLContext:
    """Read the bundles once in a process: that takes longer than a request."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def local_path(url: str) -> Path | None:
    """Return the path of a file:// URL; None for any other."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    if parts.netloc not in ("", "localhost"):
        raise UsageError(
            f"{url!r} names the host {parts.netloc!r}", hint="write file:///path, three slashes"
        )
    return Path(unquote(parts.path))


def file_name(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2] or redact(url)
