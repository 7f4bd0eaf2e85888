"""``make demo``: a clean host becomes a running single node, to look at.

Ends with the Web UI's address, the login that was made, and `backendai-ctl status`; the
host goes on running until it is removed by the command that is printed last.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import httpx

from builder.base import log
from builder.base.errors import BuilderError
from builder.base.paths import PROJECT
from builder.verify.engine import connect
from builder.verify.hosts import HostError
from tests.e2e import kernel, single
from tests.e2e.nodes import SERVICES, WEB_PORT, Kind, Login, Node, World, open_node
from tests.e2e.repository import open_repository
from tests.integration.apt import apt
from tests.integration.dist import find_dist, freeze

_LOGIN_TIMEOUT_S = 600


def demonstrate(node: Node) -> None:
    """Install, wait until the login works, and print all that a person needs."""
    packages = single.packages(node.kind)
    single.show_to_browsers(node)
    begin = time.monotonic()
    log.step(f"{'dnf' if node.kind.has_rpms else 'apt'} install {' '.join(packages)}")
    node.install(*packages)
    log.step(f"installed after {time.monotonic() - begin:.0f} s")
    url = f"http://{node.host.address}:{WEB_PORT}/"
    login = _wait_for_login(node, url)
    took = time.monotonic() - begin
    node.wait_for(*SERVICES, "agent")  # which is started when a manager is there
    log.step("load an image with a terminal and Jupyter")
    kernel.have_image(node)
    status = node.host.run(["backendai-ctl", "status"], check=False).stdout
    log.results.print(
        f"\n{status}\n"
        f"Web UI    {url}\n"
        f"e-mail    {login.email}\n"
        f"password  {login.password}\n"
        f"image     {kernel.IMAGE}\n\n"
        f"from the installation's begin to a login: {took:.0f} s",
        markup=False,
        soft_wrap=True,
    )


def _wait_for_login(node: Node, url: str) -> Login:
    """The account, once the webserver lets it in."""
    end = time.monotonic() + _LOGIN_TIMEOUT_S
    while time.monotonic() < end:
        try:
            login = node.login()
            body = {"username": login.email, "password": login.password}
            answer = httpx.post(f"{url}server/login", json=body, timeout=30)
            if answer.status_code == httpx.codes.OK and answer.json().get("authenticated"):
                return login
        except (HostError, httpx.HTTPError):
            log.detail("no login yet")
        time.sleep(1)
    raise HostError(
        f"{node.host.name}: no login after {_LOGIN_TIMEOUT_S} s",
        hint=f"see: docker exec {node.host.name} backendai-ctl status",
    )


def main() -> None:
    """Parse, make the host, demonstrate."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.demo")
    parser.add_argument("--distro", default="trixie", choices=["bookworm", "trixie", "rpm"])
    parser.add_argument("--dist", type=Path, default=PROJECT / "dist")
    options = parser.parse_args()
    log.configure(0)
    os.environ["BUILDER_KEEP_HOSTS"] = "1"  # to be looked at
    try:
        with tempfile.TemporaryDirectory(prefix="demo-") as folder:
            _run(Kind(options.distro), options.dist, Path(folder))
    except BuilderError as error:
        log.console.print(f"error: {error.message}", markup=False)
        if error.hint:
            log.console.print(f"hint: {error.hint}", markup=False)
        raise SystemExit(error.exit_code) from None


def _run(kind: Kind, dist: Path, scratch: Path) -> None:
    client = connect()
    (scratch / "dist").mkdir()
    packages = freeze(find_dist(dist), scratch / "dist")
    with open_repository(client, scratch, packages) as repository:
        world = World(client=client, repository=repository, scratch=scratch)
        mounts = kernel.mounts(client)
        with open_node(world, kind, f"demo-{kind}", stores=kind.has_rpms, mounts=mounts) as node:
            if kind.has_rpms:
                # The stub of a distribution stands in for its Docker, too.
                apt(node.host, "install", "docker.io", "docker-cli")
            demonstrate(node)
    client.close()


if __name__ == "__main__":
    main()
