"""The one door to other programs: argument lists, small environments, one error.

Quiet on success, everything on failure, live with ``-v``.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.base import log
from builder.base.errors import SPACE_HINT, BuilderError, StorageError, ToolError

# What a child may need of ours: where things are, whom to trust, which proxy.
_PASSED = re.compile(
    r"(PATH|HOME|USER|LOGNAME|TMPDIR|LANG|TZ|SSL_CERT_(FILE|DIR)|(HTTPS?|NO|ALL)_PROXY"
    r"|(https?|no|all)_proxy|NETRC"
    # Of uv's settings those that say how to reach an index. Others (UV_TARGET,
    # UV_CONSTRAINT) would make the result depend on who builds.
    r"|UV_((DEFAULT_|EXTRA_)?INDEX(_.*)?|INSECURE_HOST|KEYRING_PROVIDER|FIND_LINKS"
    r"|(SYSTEM_CERTS|NATIVE_TLS)|HTTP_.*|CONCURRENT_.*))"
)
# A password, or a token in place of the user.
_SECRET = re.compile(r"(://[^/:@\s]+:)[^@\s]+@|(://)[^/:@\s]+@")
_TAIL_LINES = 40

_gate = threading.RLock()  # a signal handler may come while its own thread holds it
_stopping = threading.Event()
_children: set[subprocess.Popen[str]] = set()  # noqa: TID251

OnLine = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a finished program left: its output as text and its exit status."""

    stdout: str
    stderr: str
    status: int


def base_environment(source: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The small environment every child gets."""
    passed = {key: value for key, value in source.items() if _PASSED.fullmatch(key)}
    return {"LC_ALL": "C.UTF-8", **passed}


def redact(text: str) -> str:
    """Mask the password of any URL in ``text``, and a token in place of the user."""
    return _SECRET.sub(lambda match: f"{match[1] or match[2]}***@", text)


def find_tool(name: str, *, variable: str | None = None, hint: str) -> Path:
    """Find a program: the environment variable, beside this Python, then PATH.

    Raises ToolError, with ``hint`` as the way out, where there is none.
    """
    named = os.environ.get(variable, "") if variable else ""
    if named:
        if Path(named).is_file() and os.access(named, os.X_OK):
            return Path(named)
        raise ToolError(f"{variable} names {named!r}, which is not an executable file", hint=hint)
    beside = Path(sys.executable).absolute().parent / name
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which(name)
    if found is None:
        raise ToolError(f"{name} not found on PATH", hint=hint)
    return Path(found)


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    stdin: str | None = None,
) -> Result:
    """Run ``command`` to its end, with ``env`` added to the base environment.

    Raises ToolError, with the end of its output, where it fails and ``check`` is set.
    """
    words = [os.fspath(word) for word in command]
    log.detail(f"+ {redact(shlex.join(words))}")
    with _started(words, cwd, {**base_environment(), **(env or {})}) as child:
        try:
            stdout, stderr = child.communicate(stdin or "")
        except BaseException:
            child.kill()
            raise
    if log.is_verbose():
        log.detail(redact(stdout + stderr).rstrip())
    if check and child.returncode != 0:
        raise _failure(failure_text(words, child.returncode, [stdout, stderr]))
    return Result(stdout=stdout, stderr=stderr, status=child.returncode)


@contextmanager
def _started(
    words: list[str], cwd: Path | None, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:  # noqa: TID251
    """A child that :func:`stop_children` reaches as long as it runs."""
    with _gate:
        if _stopping.is_set():
            raise ToolError(f"{words[0]} was not started: the build is being interrupted")
        try:
            child = subprocess.Popen(  # noqa: TID251
                words,
                cwd=cwd,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise ToolError(f"cannot run {words[0]}: {error.strerror}") from error
        _children.add(child)
    try:
        with child:
            yield child
    finally:
        _children.discard(child)


def stop_children() -> None:
    """End every program that :func:`run` waits for, and let it start no other.

    For an interrupt: threads that wait for a program then end with an error of theirs
    rather than finish what nobody wants any more.
    """
    with _gate:
        _stopping.set()
        for child in list(_children):
            child.terminate()


def _failure(message: str, *, hint: str | None = None) -> BuilderError:
    """The error for a failed command; a full disk is no fault of the tool."""
    if "no space left on device" in message.lower():
        return StorageError(message, hint=SPACE_HINT)
    return ToolError(message, hint=hint)


def failure_text(words: Sequence[str], status: int, outputs: Iterable[str]) -> str:
    """The message for a failed command: what ran, how it ended, its last lines."""
    lines = redact("\n".join(text.rstrip() for text in outputs if text.strip())).splitlines()
    ending = f"was killed by signal {-status}" if status < 0 else f"exited with {status}"
    head = f"{Path(words[0]).name} {ending}: {redact(shlex.join(words))}"
    return "\n".join([head, *(f"  {line}" for line in lines[-_TAIL_LINES:])])


def follow(
    command: Sequence[str | os.PathLike[str]],
    *,
    log_file: Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    on_line: OnLine = lambda _line: None,
) -> None:
    """Run a long ``command``, appending its output to ``log_file`` as it comes.

    ``on_line`` sees each line; ``-v`` shows it. Raises ToolError, with the end of the
    output and the log's name, where the command fails.
    """
    words = [os.fspath(word) for word in command]
    log.detail(f"+ {redact(shlex.join(words))}")
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    try:
        child = subprocess.Popen(  # noqa: TID251
            words,
            cwd=cwd,
            env={**base_environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"cannot run {words[0]}: {error.strerror}") from error
    with child, log_file.open("a", encoding="utf-8") as file:
        try:
            for line in child.stdout or ():
                file.write(line)
                tail.append(line)
                log.detail(redact(line.rstrip()))
                on_line(line)
        except BaseException:
            # Its own session, so that a compiler started by make ends with it.
            os.killpg(child.pid, signal.SIGTERM)
            raise
    if child.returncode != 0:
        text = failure_text(words, child.returncode, ["".join(tail)])
        raise _failure(text, hint=f"the whole log is {log_file}")
