"""Several nodes: each with its own part and address, and managers that stand in for another."""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from tests.e2e import browser
from tests.e2e.nodes import Kind, Login, Node, World, open_node
from tests.integration import nodes
from tests.integration.apt import apt
from tests.integration.steps import Steps

pytestmark = [pytest.mark.docker, pytest.mark.full]

_ACCOUNT = "backendai"
_VOLUME = "/srv/backendai/volume1"
_SITE = "/etc/backend.ai/site.toml"
_API_PORT = 8081
_PROXY = """\
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option httpchk GET /health/readyz
    option redispatch
    retries 3
frontend api
    bind 0.0.0.0:8081
    default_backend managers
backend managers
    default-server check inter 1s fall 2 rise 1
"""


def give_site(node: Node, text: str) -> None:
    """What an operator or a configuration tool does before anything is installed."""
    node.host.run(["mkdir", "-p", "/etc/backend.ai"])
    node.host.write(_SITE, text, mode=0o640)


def carry_secrets(source: Node, target: Node) -> None:
    """Before the target's services are installed."""
    target.install("backendai-common")
    nodes.carry_secrets(source.host, target.host, target.scratch)


def alive_agents(node: Node, login: Login) -> int:
    """How many agents the cluster has."""
    return node.client(login, "admin", "agent", "list").count("ALIVE")


@contextmanager
def shared_volume(world: World) -> Iterator[str]:
    """Stands for an export of NFS: the same files at the same path of several nodes."""
    volume = world.client.volumes.create(f"e2e-{secrets.token_hex(4)}")
    try:
        yield volume.name
    finally:
        if not os.environ.get("BUILDER_KEEP_HOSTS"):
            volume.remove()


def check_volume(manager: Node, others: list[Node]) -> None:
    """What the client puts in is on every node; what a node's account adds comes out again."""
    login = manager.login()
    manager.client(login, "vfolder", "create", "shared", "local:volume1")
    manager.host.write("/srv/user/note.txt", "for all nodes\n")
    manager.client(login, "vfolder", "upload", "shared", "note.txt")
    for number, node in enumerate(others):
        find = ["find", _VOLUME, "-name", "note.txt"]
        found = node.host.run(find, user=_ACCOUNT).stdout.strip()
        assert node.host.run(["cat", found], user=_ACCOUNT).stdout == "for all nodes\n"
        folder = found.removesuffix("/note.txt")
        script = 'umask 077; printf "by node %s\\n" "$1" >"$0/$1.txt"'
        node.host.run(["sh", "-c", script, folder, str(number)], user=_ACCOUNT)
    back = "/srv/user/back"
    for number in range(len(others)):
        manager.client(login, "vfolder", "download", "shared", f"{number}.txt", cwd=back)
        assert manager.host.read(f"{back}/{number}.txt") == f"by node {number}\n"


def check_last_words(agent: Node) -> None:
    """An agent's node has no Web UI and no login; the installation ends with what it has."""
    words = agent.installed.rpartition("Backend.AI ")[2]
    assert "on this node" in words
    assert "agent" in words
    assert "sudo backendai-ctl status --wait" in words
    assert "Web UI" not in words
    assert "credentials" not in words


def main_pid(node: Node, service: str) -> str:
    """The process of a service."""
    command = ["systemctl", "show", "--property=MainPID", "--value", f"backendai-{service}"]
    return node.host.run(command).stdout.strip()


def test_four_nodes_are_one_cluster(world: World, steps: Steps) -> None:
    with ExitStack() as stack:
        volume = stack.enter_context(shared_volume(world))
        manager = stack.enter_context(open_node(world, Kind.TRIXIE, "manager"))
        names = ("storage", "agent-a", "agent-b")
        storage, *agents = (
            stack.enter_context(
                open_node(world, Kind.TRIXIE, name, stores=False, shared={volume: _VOLUME})
            )
            for name in names
        )
        everyone = [manager, storage, *agents]
        nodes.open_stores(manager.host)
        here, there = manager.host.address, storage.host.address
        cluster = (
            f'[etcd]\naddresses = ["{here}:2379"]\n[redis]\naddress = "{here}:6379"\n'
            f'[manager]\ninternal-address = "{here}:18080"\nurl = "http://{here}:8081"\n'
            f'[storage-proxy]\nmanager-address = "{there}:6022"\n'
            f'manager-url = "http://{there}:6022"\nclient-url = "http://{there}:6021"\n'
            f'[graphql]\naddress = "{here}:4000"\nurl = "http://{here}:4000"\n'
        )
        with steps("manager"):
            give_site(manager, cluster)
            manager.install("backendai-manager", "backendai-graphql", "backendai-client")
            manager.wait_for("manager", "graphql")
        with steps("storage"):
            give_site(storage, cluster)
            carry_secrets(manager, storage)
            # As whoever exports it would.
            storage.host.run(["chown", f"{_ACCOUNT}:{_ACCOUNT}", _VOLUME])
            storage.install("backendai-storage-proxy")
            storage.wait_for("storage-proxy")
        with steps("agents"):
            for agent in agents:
                own = agent.host.address
                give_site(
                    agent,
                    f'[etcd]\naddresses = ["{here}:2379"]\n'
                    f'[agent]\naddress = "{own}:6001"\ncontainer-host = "{own}"\n',
                )
                agent.install("backendai-agent")
                check_last_words(agent)
                agent.wait_for("agent")
                # It has taken the manager's public key from etcd, and refuses everybody else.
                agent.host.run(["backendai-ctl", "doctor", "--only", "rpc"])
        both = partial(alive_agents, manager, manager.login())
        manager.host.wait_until("both agents are ALIVE", lambda: both() == len(agents), timeout=120)
        assert len({node.host.run(["id", _ACCOUNT]).stdout for node in everyone}) == 1
        with steps("a volume of all nodes"):
            check_volume(manager, [storage, *agents])
        with steps("a Web UI on another node than the manager"):
            storage.install("backendai-webserver")
            storage.wait_for("webserver")
            with browser.logged_in(storage, "cluster", manager.login()) as traffic:
                browser.see_summary(traffic, "summary-cluster")
                assert traffic.graphql
                assert traffic.problems() == []
        with steps("restart of the manager"):
            before = [main_pid(agent, "agent") for agent in agents]
            manager.host.run(["systemctl", "restart", "backendai-manager"], timeout=240)
            manager.wait_for("manager")
            manager.host.wait_until(
                "both agents are ALIVE", lambda: both() == len(agents), timeout=120
            )
            assert [main_pid(agent, "agent") for agent in agents] == before
        for node in everyone:
            assert not node.host.failed_units()
            node.host.run(["backendai-ctl", "status"])
            # uid, gid and the volume's path, as each node has reported them.
            node.host.run(["backendai-ctl", "doctor", "--only", "nodes", "--only", "volume"])


def test_one_of_three_managers_dies_and_the_api_answers(world: World, steps: Steps) -> None:
    with ExitStack() as stack:
        front = stack.enter_context(open_node(world, Kind.TRIXIE, "front"))
        nodes.open_stores(front.host)
        managers = [
            stack.enter_context(open_node(world, Kind.TRIXIE, f"manager{n}", stores=False))
            for n in range(3)
        ]
        here = front.host.address
        front.host.run(["sh", "-c", "umask 077; openssl rand -hex 16 >/root/password"])
        password = front.host.read("/root/password").strip()
        front.host.run("runuser -u postgres -- createdb backend")
        sql = f"CREATE ROLE backend LOGIN PASSWORD '{password}';\n"
        sql += "ALTER DATABASE backend OWNER TO backend;\n"
        front.host.write("/srv/role.sql", sql)
        front.host.run("runuser -u postgres -- psql -f /srv/role.sql; rm /srv/role.sql")
        site = (
            f'[etcd]\naddresses = ["{here}:2379"]\n[redis]\naddress = "{here}:6379"\n'
            f'[database]\naddress = "{here}:5432"\npassword = "{password}"\n'
        )
        first, *others = managers
        with steps("the first manager"):
            give_site(first, site)
            first.install("backendai-manager")
            first.wait_for("manager")
        with steps("two more"):
            for other in others:
                give_site(other, site)
                carry_secrets(first, other)
                other.install("backendai-manager")
                other.wait_for("manager")
        assert len({node.login() for node in managers}) == 1
        with steps("proxy"):
            apt(front.host, "install", "haproxy")
            servers = "".join(
                f"    server m{n} {node.host.address}:{_API_PORT}\n"
                for n, node in enumerate(managers)
            )
            front.host.write("/etc/haproxy/haproxy.cfg", _PROXY + servers)
            front.host.run(["systemctl", "restart", "haproxy"])
            front.install("backendai-client")
        login = first.login()
        ask = partial(front.client, login, "admin", "agent", "list")
        ask()
        check = first.host.run(["backendai-ctl", "upgrade-check"]).stdout
        for other in others:  # who would not know a new schema
            assert other.host.address in check
        assert first.host.address not in check
        with steps("one dies"):
            first.host.run(
                "systemctl kill --signal=KILL backendai-manager; systemctl stop backendai-manager"
            )
            assert first.state("manager") != "active"
            for _ in range(5):
                ask()
        assert [node.state("manager") for node in others] == ["active", "active"]
