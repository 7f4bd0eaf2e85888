"""Checks that use the network, each for a few seconds at most."""

import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from builder.base.errors import BuilderError, ToolError
from builder.base.redact import redact
from builder.base.run import run
from builder.doctor.check import Check, found, lacking
from builder.net.http import (
    RetryPolicy,
    TransientError,
    UnreachableError,
    check_status,
    local_path,
    open_client,
    stream,
)

_BRIEF = RetryPolicy(tries=1, connect_s=4.0, read_s=4.0)
# Name resolution and uv have timeouts of their own that cannot be set from here.
_LIMIT_S = 15.0
# uv's own distribution: small, and on every index that can serve a build.
_PROBE = "uv"
_INDEX_ENVIRONMENT = {"UV_HTTP_TIMEOUT": "4", "UV_HTTP_RETRIES": "0", "NO_COLOR": "1"}

# uv's releases draw the chain of causes in different ways.
_LEAD = re.compile(r"^\W*((caused by|cause|error):)?\s*", re.IGNORECASE)

Probe = Callable[[str], str | None]


def probe_url(url: str, policy: RetryPolicy = _BRIEF) -> str | None:
    """Return why nothing can be fetched from ``url``; None if it works."""
    try:
        local = local_path(url)
        if local is not None:
            return None if local.exists() else "no such file"
        with open_client(policy) as client, stream(client, url, {}) as answer:
            check_status(answer, url)
    except UnreachableError as error:
        return error.reason
    except (BuilderError, TransientError) as error:
        return str(error)
    return None


def check_places(name: str, urls: Iterable[str], *, remedy: str, probe: Probe = probe_url) -> Check:
    """Check that one of ``urls`` can be fetched; they are tried in turn."""
    failures = []
    for url in urls:
        why = probe(url)
        if why is None:
            return found(name, f"available from {_place(url)}")
        short = why.removeprefix(f"cannot fetch {redact(url)}: ")
        failures.append(f"{_place(url)}: {short}")
    return lacking(name, "; ".join(failures) or "no place to fetch it from", remedy)


def _place(url: str) -> str:
    """Return the host of a URL, or the folder that a file:// URL names."""
    parts = urlsplit(url)
    return parts.hostname or str(PurePosixPath(unquote(parts.path)).parent)


def check_index(uv: Callable[[], Path]) -> Check:
    """Check that the Python index answers uv, whose settings name it."""
    command = ["pip", "compile", "--quiet", "--no-config", "--no-cache", "--no-deps"]
    command += ["--python", sys.executable, "-"]  # else it starts each Python of PATH
    try:
        run([uv(), *command], env=_INDEX_ENVIRONMENT, stdin=f"{_PROBE}\n")
    except ToolError as error:
        remedy = "check the network, HTTPS_PROXY and UV_DEFAULT_INDEX, or set BUILDER_MIRROR"
        return lacking("index", _cause(error.message), remedy)
    return found("index", "the Python index answers")


def _cause(message: str) -> str:
    """Return the innermost cause in uv's chain: its last line, without the prefix."""
    lines = [line for line in message.splitlines() if line.strip()]
    return _LEAD.sub("", lines[-1])


def gather(
    checks: Sequence[tuple[str, Callable[[], Check]]], *, limit_s: float = _LIMIT_S
) -> list[Check]:
    """Run the checks at once and return the findings; a check that times out is a lack."""
    results: dict[str, Check] = {}
    faults: dict[str, BaseException] = {}

    def run_check(name: str, check: Callable[[], Check]) -> None:
        try:
            results[name] = check()
        except BaseException as error:
            faults[name] = error

    # Daemons, so that a thread that hangs does not keep the program from ending.
    threads = [threading.Thread(target=run_check, args=pair, daemon=True) for pair in checks]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + limit_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if faults:
        raise next(iter(faults.values()))
    late = f"no answer within {limit_s:.0f} s"
    return [
        results.get(name) or lacking(name, late, "check the network and HTTPS_PROXY")
        for name, _ in checks
    ]
