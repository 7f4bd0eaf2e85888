"""The Docker engine that answers, and workarounds for its client for Python.

This is the only module that uses the client; others import its names from here.
"""

import io
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import docker
import requests
from docker import DockerClient as Client
from docker.errors import DockerException as EngineError
from docker.errors import ImageNotFound
from docker.models.containers import Container
from docker.types import Mount

from builder.base.errors import BuilderError, ExitCode
from builder.base.run import Result

__all__ = [
    "Client",
    "Container",
    "EngineError",
    "EngineUnavailableError",
    "ImageNotFound",
    "Mount",
    "cgroup_tree",
    "connect",
    "execute",
]

# The header of a frame of output: the stream, three bytes of padding, the length.
_FRAME = struct.Struct(">BxxxL")
_STDOUT, _STDERR = 1, 2
_TIMEOUT_S = 600  # for one answer: a busy engine needs minutes to remove a host


class EngineUnavailableError(BuilderError):
    """No Docker engine answers."""

    exit_code = ExitCode.TOOL


def connect() -> Client:
    """Return a client of the engine that answers; raises EngineUnavailableError if none does."""
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    try:
        if address.startswith("unix://"):
            # Checked first, because the client leaves its socket open if no engine answers.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(address.removeprefix("unix://"))
        return docker.from_env(timeout=_TIMEOUT_S)
    except (EngineError, requests.RequestException, OSError) as error:
        raise EngineUnavailableError(
            f"docker engine not reachable at {address}: {error}", hint="run: .ci/engine start"
        ) from error


def cgroup_tree() -> Path:
    """Return the path of this machine's cgroup v2 tree, which systemd in a container needs.

    A machine on v1 often mounts v2 beside it, at ``unified``; systemd 257 supports only v2.
    """
    for tree in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        if (tree / "cgroup.controllers").exists():
            return tree
    raise EngineUnavailableError(
        "no cgroup v2 tree at /sys/fs/cgroup or /sys/fs/cgroup/unified",
        hint="mount one: mkdir -p /sys/fs/cgroup/unified; "
        "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified",
    )


def execute(
    container: Container,
    words: Sequence[str],
    *,
    limit: int,
    user: str = "root",
    environment: Mapping[str, str] | None = None,
) -> Result:
    """Run a command in a container to its end, and return what it printed and its exit status.

    ``limit`` is how many seconds the engine may be silent; it does not end the command.
    """
    client = container.client
    job = client.api.exec_create(
        container.id,
        list(words),
        user=user,
        environment={"LC_ALL": "C.UTF-8", **(environment or {})},
    )
    stdout, stderr = _attach(client, job["Id"], limit=limit)
    return Result(
        stdout=stdout.decode(errors="replace"),
        stderr=stderr.decode(errors="replace"),
        status=client.api.exec_inspect(job["Id"])["ExitCode"],
    )


def _attach(client: Client, job: str, *, limit: int) -> tuple[bytes, bytes]:
    """Start a command that ``exec_create`` made, and read both outputs to their end.

    Not by the SDK's ``exec_start``: it reads past its own buffer, and so loses output
    that arrives together with the answer's header (1 in 100 commands on a busy machine).
    """
    api = client.api
    start = {"Tty": False, "Detach": False}
    answer = api._post_json(  # noqa: SLF001
        api._url("/exec/{0}/start", job),  # noqa: SLF001
        data=start,
        stream=True,
        timeout=limit,
    )
    with answer:
        api._raise_for_status(answer)  # noqa: SLF001
        stream = io.BytesIO(answer.raw.read())
    output = {_STDOUT: bytearray(), _STDERR: bytearray()}
    while header := stream.read(_FRAME.size):
        channel, size = _FRAME.unpack(header)
        output[channel] += stream.read(size)
    return bytes(output[_STDOUT]), bytes(output[_STDERR])
