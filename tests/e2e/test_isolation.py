"""What a break-in at one service of a node gets of the others, and a stranger of any."""

import pytest

from builder.base.paths import PROJECT
from tests.e2e.nodes import Node
from tests.e2e.sandbox import run_inside

pytestmark = pytest.mark.docker

_CALL = PROJECT / "tests/integration/data/call_agent.py"
_OWN = {
    "manager": {"manager.toml", "alembic.ini", "manager.env", "manager-rpc.key_secret"},
    "storage-proxy": {"storage-proxy.toml"},
    "webserver": {"webserver.conf"},
    "graphql": {"graphql.toml"},
    "appproxy-coordinator": {
        "app-proxy-coordinator.toml",
        "alembic-appproxy.ini",
        "appproxy-coordinator.env",
    },
    "appproxy-worker": {"app-proxy-worker.toml"},
}
_READABLE = r"""
for file in /etc/backend.ai/* /var/lib/backendai/secrets/* /var/lib/backendai/*/*; do
    [ -f "$file" ] && cat "$file" >/dev/null 2>&1 && echo "${file##*/}"
done
cat /etc/backend.ai/site.toml /var/lib/backendai/secrets/manager-database-password \
    /var/lib/backendai/secrets/manager-accounts 2>/dev/null
cat /var/lib/backendai/credentials/manager.toml 2>/dev/null
true
"""


@pytest.mark.parametrize("service", _OWN)
def test_a_service_reads_its_own_configuration_alone(node: Node, service: str) -> None:
    assert set(run_inside(node.host, service, _READABLE)) == _OWN[service]


def test_secrets_that_no_service_reads_are_roots_alone(node: Node) -> None:
    """The one from which the first passwords derive is one of them."""
    found = node.host.run("cd /var/lib/backendai/secrets && stat -c '%a %U:%G %n' *").stdout
    modes = {line.split()[2]: line.split()[:2] for line in found.splitlines()}
    assert modes.pop("manager-rpc.key_secret") == ["640", "root:backendai"]
    assert modes["manager-accounts"] == ["600", "root:root"]
    assert {tuple(mode) for mode in modes.values()} == {("600", "root:root")}


def test_the_agent_answers_to_the_manager_alone(node: Node) -> None:
    """Its callers are root on the node; the first call shows that the others would arrive."""
    node.host.copy_in(_CALL, "/root/call_agent.py")
    assert call_agent(node, "manager") == "hello"
    assert call_agent(node, "nobody").startswith("refused")
    assert call_agent(node, "other").startswith("refused")
    node.host.run(["backendai-ctl", "doctor", "--only", "rpc"])


def call_agent(node: Node, caller: str) -> str:
    """What the agent says to a caller on its own node."""
    python = "/opt/backendai/agent/bin/python3"
    words = ["/opt/backendai/agent/bin/run-agent", python, "/root/call_agent.py"]
    return node.host.run([*words, "tcp://127.0.0.1:6001", caller], timeout=60).stdout.strip()
