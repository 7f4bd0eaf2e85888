"""The image of a session, made on the spot: Debian's Python and Jupyter with a kernel's labels."""

import fcntl
import json
import shlex
from pathlib import Path

from builder.base import log
from builder.base.cache import key_of
from builder.base.paths import cache_root
from builder.verify.engine import Client, ImageNotFound
from builder.verify.hosts import Host
from tests.e2e.nodes import Node
from tests.integration.images import Images, Suite
from tests.integration.stores import run_sql

NAME = "stable/python:3.13-trixie"
# What the cluster calls it.
IMAGE = f"local/{NAME}"
JUPYTER_PORT = 8081
# The registry that is the Docker of the node, as an administrator names it in site.toml: the
# URL first, because a section without one is refused.
_REGISTRY = {"url": "http://localhost", "type": "local", "name": "local", "projects": "stable"}
_LABELS = {
    "kernelspec": "1",
    "role": "COMPUTE",
    "features": "batch query uid-match user-input",
    "resource.min.cpu": "1",
    "resource.min.mem": "64m",
    "runtime-type": "python",
    "runtime-path": "/usr/bin/python3",
    "envs.corecount": "OPENBLAS_NUM_THREADS,OMP_NUM_THREADS,NPROC",
    # The terminal, on 7681, and SSH are the kernel runner's own.
    "service-ports": f"jupyter:http:{JUPYTER_PORT}",
    "base-distro": "ubuntu20.04",
}
_PACKAGES = ("python3", "python3-ipykernel", "jupyter-notebook")
# Where the kernel runner looks for the commands of an image's services.
_SERVICES = "/etc/backend.ai/service-defs"
# The app proxy lets in nobody but the session's user.
_JUPYTER = {
    "command": [
        "{runtime_path}",
        "-m",
        "notebook",
        "--no-browser",
        "--ip=0.0.0.0",
        "--port={ports[0]}",
        "--NotebookApp.token=",
        "--NotebookApp.allow_origin=*",
        "--notebook-dir=/home/work",
    ],
}
_MOUNT = "/kernel-image"
_DATABASE = "backend"
_LOAD_TIMEOUT_S = 300


def mounts(client: Client) -> dict[Path, str]:
    """The folder with the image, for a host that is to have it."""
    return {_make(client).parent: _MOUNT}


def have_image(node: Node) -> None:
    """Load the image, and let the cluster know it by a registry that is this Docker; once."""
    if is_loaded(node):
        return
    load(node.host)
    name_registry(node)


def name_registry(node: Node) -> None:
    """Let the cluster know what the node's Docker has, by a registry that is this Docker."""
    for key, value in _REGISTRY.items():
        node.host.run(["backendai-ctl", "site", "set", f"registry.local.{key}", value])
    node.host.run(["backendai-ctl", "seed", "apply"], timeout=180)
    node.host.run(["backend.ai", "mgr", "image", "rescan", "local"], timeout=120)


def is_loaded(node: Node) -> bool:
    """Whether the node's Docker has the image."""
    return node.host.run(["docker", "image", "inspect", NAME], check=False).status == 0


def containers(node: Node) -> list[str]:
    """The containers of sessions that run."""
    command = "docker ps --quiet --filter label=ai.backend.kernel-id"
    return node.host.run(command).stdout.split()


def why_it_ended(node: Node, name: str) -> str:
    """Return what the manager has on record of a session, and what its agent printed last.

    The manager tells the client no more than that the session has ended.
    """
    of_session = f"SELECT id FROM sessions WHERE name = '{name}'"
    found = run_sql(
        node.host,
        "SELECT created_at, phase, from_status, to_status, result, message"
        f" FROM session_scheduling_history WHERE session_id IN ({of_session}) ORDER BY 1;"
        f"SELECT status, status_info, status_data FROM kernels WHERE session_id IN ({of_session});"
        "SELECT id, status, first_contact, lost_at FROM agents",
        database=_DATABASE,
    )
    journal = "journalctl --no-pager --lines=60 --unit=backendai-agent"
    return f"{found}\n{node.host.run(journal, check=False).stdout}"


def load(host: Host) -> None:
    """Give the host's Docker the image."""
    host.run(f"docker load --quiet --input {_MOUNT}/kernel.tar", timeout=_LOAD_TIMEOUT_S)


def archive(client: Client) -> Path:
    """The image as docker save wrote it."""
    return _make(client)


def _make(client: Client) -> Path:
    """The saved image, made where it is absent."""
    base = Images(client).base(Suite.TRIXIE)
    key = key_of(base, _PACKAGES, _LABELS, _JUPYTER, 2)[:12]
    folder = cache_root() / "images" / f"kernel-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    saved = folder / "kernel.tar"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not saved.exists():
            log.step(f"making the image {NAME}")
            _save(client, base, saved)
    return saved


def _save(client: Client, base: str, target: Path) -> None:
    install = "apt-get update -qq && apt-get install -y -qq --no-install-recommends"
    script = (
        f"{install} {' '.join(_PACKAGES)} && apt-get clean && rm -rf /var/lib/apt/lists/*"
        f" && mkdir -p {_SERVICES}"
        f" && printf %s {shlex.quote(json.dumps(_JUPYTER))} >{_SERVICES}/jupyter.json"
    )
    container = client.containers.create(
        base, ["sh", "-c", script], environment={"DEBIAN_FRONTEND": "noninteractive"}
    )
    try:
        container.start()
        status = container.wait()["StatusCode"]
        assert status == 0, container.logs(tail=30).decode(errors="replace")
        labels = " ".join(f'ai.backend.{name}="{value}"' for name, value in _LABELS.items())
        repository, _, tag = NAME.partition(":")
        # Not the command that made it: a kernel is started with one of its own.
        changes = [f"LABEL {labels}", 'CMD ["/bin/bash"]']
        container.commit(repository=repository, tag=tag, changes=changes)
    finally:
        container.remove(v=True, force=True)
    scratch = target.with_suffix(".new")
    try:
        with scratch.open("wb") as file:
            for block in client.images.get(NAME).save(named=True):
                file.write(block)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
        try:
            client.images.remove(NAME)
        except ImageNotFound:
            log.detail(f"{NAME} is not there any more")
