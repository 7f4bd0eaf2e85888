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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from builder.base import log
from builder.base.errors import SPACE_HINT, BuilderError, StorageError, ToolError
from builder.base.redact import redact

# The variables that a child inherits: paths, trusted CAs, proxies.
_PASSED = re.compile(
    r"(PATH|HOME|USER|LOGNAME|TMPDIR|LANG|TZ|SSL_CERT_(FILE|DIR)|(HTTPS?|NO|ALL)_PROXY"
    r"|(https?|no|all)_proxy|NETRC"
    # Of uv's settings only those for access to an index. Others (UV_TARGET,
    # UV_CONSTRAINT) would make the result depend on who builds.
    r"|UV_((DEFAULT_|EXTRA_)?INDEX(_.*)?|INSECURE_HOST|KEYRING_PROVIDER|FIND_LINKS"
    r"|(SYSTEM_CERTS|NATIVE_TLS)|HTTP_.*|CONCURRENT_.*))"
)
# A password, or a token in place of the user.
_TAIL_LINES = 40

_gate = threading.RLock()  # a signal handler may come while its own thread holds it
_stopping = threading.Event()
_children: set["_Child"] = set()

OnLine = Callable[[str], None]
Words = Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program to run: its arguments, additions to its environment, texts to hide."""

    words: Words
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    hide: tuple[str, ...] = ()  # texts that no message may show, beside passwords in URLs
    umask: int = -1  # of the program; -1: this process's own

    @property
    def arguments(self) -> list[str]:
        """The program and its arguments as text."""
        return [os.fspath(word) for word in self.words]

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of the program."""
        return {**base_environment(), **self.env}

    def __str__(self) -> str:
        return self.redact(shlex.join(self.arguments))

    def redact(self, text: str) -> str:
        """Mask the secrets in ``text``."""
        for secret in filter(None, self.hide):
            text = text.replace(secret, "***")
        return redact(text)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Child:
    """A program that runs; in a group of its own, its children end with it."""

    process: subprocess.Popen[str]  # noqa: TID251
    has_group: bool

    def end(self) -> None:
        with suppress(ProcessLookupError):
            if self.has_group:
                os.killpg(self.process.pid, signal.SIGTERM)
            else:
                self.process.terminate()


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a finished program: its output as text and its exit status."""

    stdout: str
    stderr: str
    status: int


def base_environment(source: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the small environment that every child gets."""
    passed = {key: value for key, value in source.items() if _PASSED.fullmatch(key)}
    return {"LC_ALL": "C.UTF-8", **passed}


def find_tool(name: str, *, variable: str | None = None, hint: str) -> Path:
    """Find a program: the environment variable, beside this Python, then PATH.

    Raises ToolError, with ``hint`` as the fix, if there is none.
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
    command: Command | Words,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    stdin: str | None = None,
) -> Result:
    """Run a command to its end; ``cwd`` and ``env`` are those of a command given as words.

    Raises ToolError, with the end of its output, if it fails and ``check`` is set.
    """
    if not isinstance(command, Command):
        command = Command(words=command, cwd=cwd, env=env or {})
    with _started(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            stdout, stderr = child.process.communicate(stdin or "")
        except BaseException:
            child.process.kill()
            raise
    status = child.process.returncode
    if log.is_verbose():
        log.detail(command.redact(stdout + stderr).rstrip())
    if check and status != 0:
        raise _failure(_describe_failure(command, status, [stdout, stderr]))
    return Result(stdout=stdout, stderr=stderr, status=status)


@contextmanager
def _started(
    command: Command, *, stdin: int, stderr: int, has_group: bool = False
) -> Iterator[_Child]:
    """Start a child that :func:`stop_children` reaches as long as it runs."""
    log.detail(f"+ {command}")
    arguments = command.arguments
    with _gate:
        if _stopping.is_set():
            raise ToolError(f"{arguments[0]} was not started: the build is being interrupted")
        try:
            process = subprocess.Popen(  # noqa: TID251
                arguments,
                cwd=command.cwd,
                env=command.environment,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                errors="replace",
                start_new_session=has_group,
                umask=command.umask,
            )
        except OSError as error:
            raise ToolError(f"cannot run {arguments[0]}: {error.strerror}") from error
        child = _Child(process=process, has_group=has_group)
        _children.add(child)
    try:
        with process:
            yield child
    finally:
        _children.discard(child)


def stop_children() -> None:
    """End every program that runs, and start no other.

    For an interrupt: threads that wait for a program then end with an error rather than
    finish work that is no longer needed.
    """
    with _gate:
        _stopping.set()
        for child in list(_children):
            child.end()


def _failure(message: str, *, hint: str | None = None) -> BuilderError:
    """Return the error for a failed command; a full disk is no fault of the tool."""
    if "no space left on device" in message.lower():
        return StorageError(message, hint=SPACE_HINT)
    return ToolError(message, hint=hint)


def failure_text(words: Sequence[str], status: int, outputs: Iterable[str]) -> str:
    """Return the message for a failed command: its words, its exit status, its last lines."""
    return _describe_failure(Command(words=words), status, outputs)


def _describe_failure(command: Command, status: int, outputs: Iterable[str]) -> str:
    text = "\n".join(output.rstrip() for output in outputs if output.strip())
    lines = command.redact(text).splitlines()
    ending = f"was killed by signal {-status}" if status < 0 else f"exited with {status}"
    head = f"{Path(command.arguments[0]).name} {ending}: {command}"
    return "\n".join([head, *(f"  {line}" for line in lines[-_TAIL_LINES:])])


def follow(command: Command, *, log_file: Path, on_line: OnLine = lambda _line: None) -> None:
    """Run a long command, appending its output to ``log_file`` as it comes.

    ``on_line`` gets each line; ``-v`` shows it. Raises ToolError, with the end of the
    output and the log's name, if the command fails.
    """
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    # A group of its own, so that a compiler started by make ends with it.
    with (
        _started(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, has_group=True
        ) as child,
        log_file.open("a", encoding="utf-8") as file,
    ):
        try:
            for line in child.process.stdout or ():
                file.write(line)
                tail.append(line)
                log.detail(command.redact(line.rstrip()))
                on_line(line)
        except BaseException:
            child.end()
            raise
    status = child.process.returncode
    if status != 0:
        text = _describe_failure(command, status, ["".join(tail)])
        raise _failure(text, hint=f"the whole log is {log_file}")
