"""A node joins by one line: real packages, real stores, an agent that the manager sees."""

import json
from contextlib import ExitStack

import pytest

from builder.base.paths import PROJECT
from tests.e2e.joining import LINE, invite, join
from tests.e2e.nodes import Kind, Login, Node, World, open_node
from tests.integration import nodes
from tests.integration.apt import apt
from tests.integration.steps import Steps

pytestmark = [pytest.mark.docker, pytest.mark.full]

_EXAMPLES = PROJECT / "docs/examples"
_INVENTORY = """\
[first_node]
localhost ansible_connection=local

[new_nodes]
{address} ansible_user=root
"""


def agents(manager: Node, login: Login) -> int:
    """How many agents the manager sees."""
    return manager.client(login, "admin", "agent", "list").count("ALIVE")


def open_first_node(manager: Node) -> str:
    """A single node with all on loopback becomes one that others reach, as `invite` says."""
    here = manager.host.address
    shown = manager.host.run(["backendai-ctl", "invite", "--role", "agent"], check=False)
    assert shown.status == 69
    for words in (
        f"etcd.addresses is 127.0.0.1:2379, and nothing answers at {here}:2379",
        "config/redis/addr in etcd is 127.0.0.1:6379",
        "ETCD_LISTEN_CLIENT_URLS",
    ):
        assert words in shown.stderr
    nodes.open_stores(manager.host)
    # The next command, as it was printed.
    line = next(text for text in shown.stderr.splitlines() if "config/redis/addr in etcd" in text)
    remedy = line.rpartition("store; ")[2].replace("sudo ", "")
    manager.host.run(remedy, timeout=300)
    return here


def see_no_leaks(manager: Node, node: Node, line: str) -> None:
    """An agent's node has nothing of the database, and nobody has kept the line."""
    secrets = manager.host.run("cd /var/lib/backendai/secrets && cat manager-secret").stdout
    database = manager.host.read("/var/lib/backendai/secrets/manager-database-password")
    names = node.host.run("ls /var/lib/backendai/secrets").stdout.split()
    assert [name for name in names if name.startswith(("manager-", "storage", "app"))] == [
        "manager-rpc.key"
    ]
    for secret in (secrets.strip(), database.strip()):
        where = "/etc /var/lib/backendai /var/log /run"
        found = node.host.run(["sh", "-c", f'grep -rlF -e "$0" {where} || true', secret]).stdout
        assert found == ""
    token = line.partition(".")[2]
    for host in (manager.host, node.host):
        script = 'grep -rlF -e "$0" /var /etc /run /tmp 2>/dev/null || true; journalctl --no-pager'
        shown = host.run(["sh", "-c", script, token]).stdout
        assert token not in shown
        assert "/run" not in shown.splitlines()[0]
        assert not host.run("ls -d /run/backendai-invite-* 2>/dev/null || true").stdout


def test_nodes_join_by_a_line(world: World, steps: Steps) -> None:
    with ExitStack() as stack:
        manager = stack.enter_context(open_node(world, Kind.TRIXIE, "manager"))
        with steps("a single manager"):
            manager.install("backendai-manager", "backendai-client")
            manager.wait_for("manager")
            open_first_node(manager)
            manager.wait_for("manager")
        login = manager.login()
        agent = stack.enter_context(open_node(world, Kind.TRIXIE, "agent-a", stores=False))
        with steps("an agent that was installed before it joins"):
            agent.install("backendai-agent")
            line = invite(manager, "agent")
            join(agent, line)
            agent.host.run(["rm", LINE])
            agent.host.run(["backendai-ctl", "status", "--wait"], timeout=650)
            manager.host.wait_until("ALIVE", lambda: agents(manager, login) == 1, timeout=120)
            agent.host.run(["backendai-ctl", "doctor", "--only", "rpc"])
            see_no_leaks(manager, agent, line)
            assert "joined by this invite already" in join(agent, line).stderr
        other = stack.enter_context(open_node(world, Kind.TRIXIE, "agent-b", stores=False))
        with steps("an agent that is installed with a line: a used one, then a new one"):
            other.host.write(LINE, line, mode=0o600)
            install = f"BACKENDAI_JOIN_FILE={LINE} DEBIAN_FRONTEND=noninteractive apt-get install"
            shown = other.host.run(
                f"{install} --yes --no-install-recommends backendai-agent", timeout=900
            )
            assert "the invite is used or ended" in shown.stdout + shown.stderr
            assert other.state("agent") != "active"
            assert not other.host.run("ls /etc/backend.ai").stdout.split()
            join(other, invite(manager, "agent"))
            other.wait_for("agent")
            manager.host.wait_until("ALIVE", lambda: agents(manager, login) == 2, timeout=120)
        for node in (manager, agent, other):
            assert not node.host.failed_units()


def test_ansible_and_cloud_init_as_documented(world: World, steps: Steps) -> None:
    with ExitStack() as stack:
        manager = stack.enter_context(open_node(world, Kind.TRIXIE, "manager"))
        manager.install("backendai-manager", "backendai-client")
        manager.wait_for("manager")
        open_first_node(manager)
        manager.wait_for("manager")
        agent = stack.enter_context(open_node(world, Kind.TRIXIE, "agent", stores=False))
        with steps("ansible"):
            apt(manager.host, "install", "ansible-core", "openssh-client", "cloud-init")
            apt(agent.host, "install", "openssh-server", "python3")
            manager.host.run("ssh-keygen -q -t ed25519 -N '' -f ~root/.ssh/id_ed25519")
            key = manager.host.run("cat ~root/.ssh/id_ed25519.pub").stdout
            agent.host.write("/srv/key", key)
            agent.host.run("umask 077; mkdir -p ~root/.ssh; cp /srv/key ~root/.ssh/authorized_keys")
            agent.host.run(["systemctl", "start", "ssh"])
            inventory = _INVENTORY.format(address=agent.host.address)
            manager.host.write("/srv/hosts.ini", inventory)
            manager.host.copy_in(_EXAMPLES / "ansible/join.yml", "/srv/join.yml")
            play = "ansible-playbook --inventory /srv/hosts.ini /srv/join.yml"
            env = {"ANSIBLE_HOST_KEY_CHECKING": "False", "LC_ALL": "C.UTF-8"}
            shown = manager.host.run(play, env=env, timeout=1200).stdout
            assert "failed=0" in shown
            assert "backendai-join-" not in shown
            agent.wait_for("agent")
            login = manager.login()
            manager.host.wait_until("ALIVE", lambda: agents(manager, login) == 1, timeout=120)
            again = manager.host.run(play, env=env, timeout=1200).stdout
            assert "changed=0" in again
            assert json.loads(agent.host.read("/var/lib/backendai/join/joined.json"))["roles"]
        with steps("cloud-init"):
            manager.host.copy_in(_EXAMPLES / "cloud-init/agent.yaml", "/srv/agent.yaml")
            manager.host.run("cloud-init schema --config-file /srv/agent.yaml")
