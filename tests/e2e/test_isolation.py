"""What a break-in at one service of a node gets of the others, and a stranger of any."""

import shlex

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
_REACH = PROJECT / "tests/integration/data/reach.py"
_SCRIPT = "/usr/local/bin/reach.py"
_PYTHON = "/opt/backendai/manager/bin/python3"
_WAYS = ("environ", "maps", "mem", "configuration", "folder", "files")
_PAGES = r"""
for folder in /proc/[0-9]*; do
    grep -q "/backendai-$0\.service" "$folder/cgroup" 2>/dev/null || continue
    echo "${folder##*/}:$(head -n 1 "$folder/maps" | cut -d- -f1)"
done
"""
_FOLDERS = r"""
for path in /var/lib/backendai/* /var/log/backendai/* /run/backendai/* /dev/shm/* \
    "$volume"/version.txt; do
    [ ! -e "$path" ] || echo "$path"
done
if touch "$volume/.trial" 2>/dev/null; then
    rm "$volume/.trial"
    echo written
fi
"""
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


@pytest.mark.parametrize("service", _OWN)
def test_a_service_reaches_no_process_of_another(node: Node, service: str) -> None:
    """Also where systemd cannot hide processes: by the group alone."""
    node.host.copy_in(_REACH, _SCRIPT)
    others = {name: pages(node, name) for name in _OWN if name != service}
    words = [word for found in others.values() for word in found]
    script = shlex.join(["exec", _PYTHON, "-I", _SCRIPT, *words])
    assert run_inside(node.host, service, script, "ProtectProc=default") == []
    # With the group of the others, all of it would be read.
    for name, found in others.items():
        group = node.host.run(["ps", "-o", "egid=", "-p", found[0].partition(":")[0]]).stdout
        words = ["setpriv", "--reuid=backendai", f"--regid={group.strip()}", "--groups=backendai"]
        reached = node.host.run([*words, _PYTHON, "-I", _SCRIPT, *found]).stdout.splitlines()
        assert len(reached) == len(_WAYS) * len(found), (name, reached)


def pages(node: Node, service: str) -> list[str]:
    """Each process of a service, with the address of a page that it has, for the script."""
    return node.host.run(["sh", "-c", _PAGES, service]).stdout.splitlines()


@pytest.mark.parametrize("service", _OWN)
def test_a_service_sees_its_own_folders_alone(node: Node, service: str) -> None:
    """And users' folders only if it serves them."""
    node.host.run("touch /dev/shm/of-another && chmod 0666 /dev/shm/of-another")
    volume = node.host.run(["backendai-ctl", "site", "get", "storage.path"]).stdout.strip()
    found = run_inside(node.host, service, f"volume={shlex.quote(volume)}\n{_FOLDERS}")
    serves = service == "storage-proxy"
    assert [line for line in found if line.startswith(volume)] == [f"{volume}/version.txt"] * serves
    assert ("written" in found) == serves
    others = [line for line in found if line.startswith("/") and not line.startswith(volume)]
    assert {line for line in others if not line.startswith("/var/lib/backendai/")} <= {
        f"/var/log/backendai/{service}",
        f"/run/backendai/{service}",
    }
    assert {line.rpartition("/")[2] for line in others} <= {service, "secrets", "trust"}


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
