"""Checks of this host alone: programs, folders, the Docker engine."""

import json
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from builder.base.errors import ToolError
from builder.base.model import host_arch
from builder.base.run import find_tool, run
from builder.doctor.check import Check, Status, found, lacking
from builder.runtime.buildhost import Dependency, install_commands

OLDEST_PYTHON = (3, 11)
SETUP = "make setup"
CACHE_SPACE = 3_000_000_000
OUT_SPACE = 500_000_000
_GB = 1e9
_DOCKER_SOCKET = "unix:///var/run/docker.sock"
_DOCKER_WAIT_S = 3.0

Space = Callable[[Path], int]


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Check the Python that runs the builder."""
    text = ".".join(map(str, version))
    oldest = ".".join(map(str, OLDEST_PYTHON))
    if version < OLDEST_PYTHON:
        return lacking("python", f"{text}, older than {oldest}", f"{SETUP} PYTHON=python{oldest}")
    return found("python", text)


def check_arch(arch: Callable[[], str] = host_arch) -> Check:
    """Check the processor architecture."""
    try:
        return found("architecture", arch())
    except ValueError as error:
        return lacking("architecture", str(error), "build on a host of amd64 or arm64")


def check_tool(name: str, find: Callable[[], Path]) -> Check:
    """Check that a program of the build exists, and that it runs on this host."""
    try:
        path = find()
        run([path, "--version"])
    except ToolError as error:
        return lacking(name, error.message.splitlines()[0], error.hint or SETUP)
    return found(name, str(path))


def find_patchelf() -> Path:
    """Return the path of the patchelf binary."""
    return find_tool("patchelf", hint=SETUP)


def check_shellcheck() -> Check:
    """Check shellcheck, which only the tests need."""
    checked = check_tool("shellcheck", lambda: find_tool("shellcheck", hint=SETUP))
    if checked.is_ok:
        return checked
    return Check(
        name="shellcheck",
        status=Status.OPTIONAL,
        detail="not found; 'make lint' needs it",
        remedy=checked.remedy,
    )


def check_compiler(missing: Sequence[Dependency], os_release: Mapping[str, str]) -> Check:
    """Check the dependencies of compiling CPython."""
    if not missing:
        return found("compiler", "all that compiling CPython needs")
    names = ", ".join(program.name for program in missing)
    commands = install_commands(missing, os_release)
    remedy = " && ".join(map(shlex.join, commands)) or "install them with their headers"
    return lacking("compiler", f"compiling CPython needs {names}", remedy)


def free_space(path: Path) -> int:
    """Return the bytes that a user may still write there."""
    return shutil.disk_usage(path).free


def check_folder(
    name: str, path: Path, *, needed: int, setting: str, space: Space = free_space
) -> Check:
    """Check a folder of the build: writable, or makeable, with room for ``needed`` bytes."""
    present = path
    while not present.exists() and present != present.parent:
        present = present.parent
    if not present.is_dir():
        return lacking(name, f"{present} is no folder", f"point {setting} at a folder")
    # By the system's answer, so that root detects a read-only disk, too.
    if not os.access(present, os.W_OK | os.X_OK):
        return lacking(name, f"{present} cannot be written", f"point {setting} elsewhere")
    free = space(present)
    room = f"{path} ({free / _GB:.1f} GB free)"
    if free < needed:
        return lacking(
            name,
            f"{room}, a build needs about {needed / _GB:.1f} GB",
            f"free some space there, or point {setting} elsewhere",
        )
    return found(name, room)


def check_docker(environment: Mapping[str, str]) -> Check:
    """Check the Docker engine, which only the integration tests need."""
    host = environment.get("DOCKER_HOST") or _DOCKER_SOCKET
    try:
        return found("docker", f"engine {ask_docker(host)}")
    except (OSError, ValueError, HTTPException) as error:
        reason = str(error) or type(error).__name__
        return Check(
            name="docker",
            status=Status.OPTIONAL,
            detail=f"no engine answers at {host} ({reason}); the integration tests need one",
            remedy=".ci/engine start",
        )


def ask_docker(host: str) -> str:
    """Return the version of the engine at ``host``, spelled as in DOCKER_HOST."""
    parts = urlsplit(host)
    if parts.scheme == "unix":
        connection: HTTPConnection = _UnixConnection(parts.path)
    elif parts.scheme in ("tcp", "http") and parts.hostname:
        connection = HTTPConnection(parts.hostname, parts.port, timeout=_DOCKER_WAIT_S)
    else:
        raise ValueError("not an address that this host can reach")
    with closing(connection):
        connection.request("GET", "/version")
        answer = connection.getresponse()
        if answer.status != HTTPStatus.OK:
            raise ValueError(f"it answers {answer.status}")
        table = json.loads(answer.read())
    if not isinstance(table, dict) or "Version" not in table:
        raise ValueError("what answers is no Docker engine")
    return str(table["Version"])


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket, closed even if it cannot connect (httpx leaves it open)."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_DOCKER_WAIT_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_DOCKER_WAIT_S)
        self.sock.connect(self._path)
