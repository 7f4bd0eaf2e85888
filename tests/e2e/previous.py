"""Releases before the one under test, and a node that is held at one."""

from collections.abc import Sequence

from packaging.version import Version

from builder.base.paths import PKGSPEC
from builder.spec import load_spec
from tests.e2e.nodes import Login, Node

PIN = "/etc/apt/preferences.d/backendai"
# What a release must have to be a node of its own.
_NODE = "backendai"


def previous_release(version: str) -> tuple[str, Sequence[str]]:
    """The newest version before this one that has all of a single node, and its packages."""
    releases = [
        release for release in load_spec(PKGSPEC).releases.values() if _NODE in release.packages
    ]
    before = [release for release in releases if Version(release.version) < Version(version)]
    found = max(before, key=lambda release: Version(release.version))
    return found.version, found.packages


def stay_at(node: Node, version: str) -> None:
    """Pin our packages, as an operator who wants to stay at a release."""
    node.host.write(PIN, f"Package: backendai*\nPin: version {version}-*\nPin-Priority: 1001\n")


def installed(node: Node) -> dict[str, str]:
    """Our packages that are installed, and their versions."""
    if node.kind.has_rpms:
        query = ["rpm", "--query", "--all", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE}\\n"]
        found = node.host.run([*query, "backendai*"]).stdout.splitlines()
        return {name: version for name, _, version in (line.partition(" ") for line in found)}
    form = "${db:Status-Status} ${Package} ${Version}\\n"
    listed = node.host.run(["dpkg-query", "-W", f"-f={form}", "backendai*"], check=False).stdout
    rows = [line.split() for line in listed.splitlines()]
    return {row[1]: row[2] for row in rows if row[0] == "installed"}


def releases(node: Node) -> set[str]:
    """The releases of our packages, whatever the packaging's revision."""
    return {version.rpartition("-")[0] for version in installed(node).values()}


def wait_for_agent(node: Node, login: Login) -> None:
    """The cluster has an agent."""
    alive = lambda: "ALIVE" in node.client(login, "admin", "agent", "list")  # noqa: E731
    node.host.wait_until("the agent is ALIVE", alive, timeout=120)
