"""Nodes join as storage, web, manager and agent, by plain HTTP and by TLS, and are used."""

import json
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.e2e import joining
from tests.e2e.nodes import WEB_PORT, Kind, Node, World, open_node
from tests.integration import nodes
from tests.integration.steps import Steps

pytestmark = [pytest.mark.docker, pytest.mark.full]

_SECRETS = "/var/lib/backendai/secrets"
_OWN_CA = "/var/lib/backendai/tls/ca.pem"
_SHARED = {
    "storage": {"storage-proxy-manager-secret"},
    "web": set[str](),
    "agent": set[str](),
    "manager": {
        "appproxy-coordinator-api-secret",
        "manager-accounts",
        "manager-database-password",
        "manager-rpc.key",
        "manager-rpc.key_secret",
        "manager-secret",
        "manager-watcher-token",
        "storage-proxy-manager-secret",
    },
}
_PACKAGES = {
    "storage": (Kind.TRIXIE, ["backendai-storage-proxy"]),
    "web": (Kind.TRIXIE, ["backendai-webserver"]),
    "manager": (Kind.TRIXIE, ["backendai-manager", "backendai-graphql", "backendai-client"]),
    "agent": (Kind.RPM, ["backendai-agent"]),
}
_SITE = """\
[node]
public-host = "HOST"
[etcd]
addresses = ["HOST:2379"]
[redis]
address = "HOST:6379"
[database]
address = "HOST:5432"
[manager]
address = "HOST:8081"
internal-address = "HOST:18080"
[graphql]
address = "HOST:4000"
url = "http://HOST:4000"
[storage-proxy]
manager-address = "HOST:6022"
manager-url = "http://HOST:6022"
[tls]
self-signed = SELF_SIGNED
"""


@dataclass(kw_only=True)
class Cluster:
    """A first node that others reach, and nodes that have not joined yet, by their role."""

    scheme: str
    first: Node
    others: dict[str, Node]

    def client(self, at: Node, *words: str, of: Node | None = None, back: bool = False) -> str:
        """Call the manager of a node by the client on ``at``."""
        api = f"{self.scheme}://{(of or at).host.address}:8081"
        cwd = "/srv/user/back" if back else "/srv/user"
        return at.client(self.first.login(), *words, api=api, cwd=cwd, timeout=180)


@pytest.fixture(scope="module", params=["http", "https"])
def cluster(world: World, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The first node is up; the packages of each role are installed on the others."""
    say = Steps(request.config, f"a cluster by {request.param}")
    with ExitStack() as stack:
        first = stack.enter_context(open_node(world, Kind.TRIXIE, "first"))
        with say("the first node"):
            nodes.open_stores(first.host)
            first.host.run(["mkdir", "-p", "/etc/backend.ai"])
            text = _SITE.replace("HOST", first.host.address)
            text = text.replace("SELF_SIGNED", "true" if request.param == "https" else "false")
            first.host.write("/etc/backend.ai/site.toml", text, mode=0o640)
            services = ("manager", "graphql", "storage-proxy", "webserver")
            first.install(*(f"backendai-{service}" for service in services), "backendai-client")
            first.wait_for(*services)
        others = {}
        for role, (kind, names) in _PACKAGES.items():
            with say(f"packages for the role {role}"):
                others[role] = stack.enter_context(open_node(world, kind, role, stores=False))
                if kind.has_rpms:
                    joining.install_docker(others[role])
                others[role].install(*names)
        yield Cluster(scheme=request.param, first=first, others=others)


def joined(cluster: Cluster, role: str) -> tuple[Node, str]:
    """A node that has joined and is up, and its line; ``status --wait`` ends by itself."""
    node, line = cluster.others[role], joining.invite(cluster.first, role)
    joining.join(node, line)
    node.host.run(["backendai-ctl", "status", "--wait"], timeout=650)
    state = json.loads(node.host.run(["backendai-ctl", "seed", "status", "--json"]).stdout)
    assert state["complete"]
    assert not node.host.failed_units()
    for name in node.host.run(["ls", _SECRETS]).stdout.split():
        path = f"{_SECRETS}/{name}"
        there = cluster.first.host.run(["cat", path], check=False).stdout
        is_same = there == node.host.read(path)
        assert is_same is (name in _SHARED[role]), name
    return node, line


def trust(first: Node, other: Node) -> None:
    """Let the first node's commands trust the authority that another has made."""
    file = "/etc/backend.ai/other-ca.pem"
    first.host.write(file, other.host.read(_OWN_CA))
    first.host.run(["backendai-ctl", "site", "set", "tls.ca", file])
    first.host.run(["backendai-ctl", "tls", "apply"], timeout=650)


def test_a_storage_node_serves_a_volume_of_its_own(cluster: Cluster) -> None:
    first, (node, _) = cluster.first, joined(cluster, "storage")
    volume = f"{node.host.run(['hostname']).stdout.strip()}:volume1"
    if cluster.scheme == "https":
        trust(first, node)
    # As the guide says.
    first.host.run(["backendai-ctl", "volume", "grant", volume])
    first.host.run(["systemctl", "restart", "backendai-manager"], timeout=240)
    first.wait_for("manager")
    cluster.client(first, "vfolder", "create", "there", volume)
    first.host.write("/srv/user/note.txt", "on the second\n")
    cluster.client(first, "vfolder", "upload", "there", "note.txt")
    find = "find /srv/backendai/volume1 -name note.txt -newer /srv/line"
    found = node.host.run(find).stdout.split()
    assert [node.host.read(path) for path in found] == ["on the second\n"]
    cluster.client(first, "vfolder", "download", "there", "note.txt", back=True)
    assert first.host.read("/srv/user/back/note.txt") == "on the second\n"


def test_users_log_in_by_another_webserver(cluster: Cluster) -> None:
    node, _ = joined(cluster, "web")
    login = cluster.first.login()
    context = None
    if cluster.scheme == "https":
        context = ssl.create_default_context(cadata=node.host.read(_OWN_CA))
    request = urllib.request.Request(
        f"{cluster.scheme}://{node.host.address}:{WEB_PORT}/server/login",
        data=json.dumps({"username": login.email, "password": login.password}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        assert json.load(answer)["authenticated"] is True
        is_secure = "secure" in answer.headers["Set-Cookie"].lower()
    assert is_secure is (cluster.scheme == "https")


def test_an_agent_joins_by_dnf(cluster: Cluster) -> None:
    node, line = joined(cluster, "agent")
    first = cluster.first

    def is_alive() -> bool:
        return cluster.client(first, "admin", "agent", "list").count("ALIVE") == 1

    first.host.wait_until("ALIVE", is_alive, timeout=120)
    before = node.host.run("cat /etc/backend.ai/* /var/lib/backendai/secrets/* | sha256sum").stdout
    refused = {
        line[:-3]: "is incomplete or was changed on its way",
        line.replace("backendai-join-1.", "backendai-join-2."): "newer than this node's packages",
        joining.invite(first, "web"): "backendai-webserver is not installed here",
    }
    for text, words in refused.items():
        shown = joining.join(node, text, check=False)
        assert shown.status != 0
        assert words in shown.stderr
        assert shown.stderr.count("error:") == 1
        assert "hint:" in shown.stderr
    assert "joined by this invite already" in joining.join(node, line).stderr
    after = node.host.run("cat /etc/backend.ai/* /var/lib/backendai/secrets/* | sha256sum").stdout
    assert after == before


def test_another_manager_answers_the_api(cluster: Cluster) -> None:
    node, _ = joined(cluster, "manager")
    first = cluster.first
    assert node.login() == first.login()
    assert "ALIVE" in cluster.client(node, "admin", "agent", "list")
    assert "there" in cluster.client(node, "vfolder", "list")
