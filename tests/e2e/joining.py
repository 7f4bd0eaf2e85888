"""What tests of nodes that join share: an invite, the line by stdin, what an agent by dnf needs."""

from builder.base.run import Result
from tests.e2e.nodes import Node
from tests.integration.apt import apt

LINE = "/srv/line"


def invite(first: Node, role: str) -> str:
    """The line for one node of a role."""
    shown = first.host.run(["backendai-ctl", "invite", "--role", role]).stdout.strip()
    assert shown.startswith("backendai-join-1.")
    assert "\n" not in shown
    return shown


def join(node: Node, line: str, *, check: bool = True) -> Result:
    """Give the line by stdin, as an operator does."""
    node.host.write(LINE, f"{line}\n", mode=0o600)
    return node.host.run(f"backendai-ctl join <{LINE}", check=check, timeout=300)


def install_docker(node: Node) -> None:
    """Docker, for which the stub of a distribution with rpms stands in."""
    apt(node.host, "install", "docker.io", "docker-cli")
