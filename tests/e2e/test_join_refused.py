"""Lines that a node must not join by: one message, a named status, and nothing changed anywhere."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from builder.verify.hosts import Host
from tests.e2e.joining import invite, join
from tests.e2e.nodes import Kind, Node, World, open_node
from tests.integration import nodes
from tests.integration.steps import Steps

pytestmark = [pytest.mark.docker, pytest.mark.full]

_DATA, _NOT_READY, _HOST, _REFUSED, _SITE = 65, 69, 71, 77, 78
_PORT = 6095
_PYTHON = "/opt/backendai/runtime/bin/python3"
_AUTHORITY = "/etc/backend.ai/company-ca.pem"
_MAKE_AUTHORITY = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null"
    f" -subj /CN=company -days 9 -out {_AUTHORITY} && chmod 644 {_AUTHORITY}"
)
# All that a join may write, and the drop-ins and links of units. Its lock is an empty folder, and
# services that run note in seed/ what they have seen.
_FILES = (
    "find /etc /run/systemd/system /var/lib/backendai -path /var/lib/backendai/seed -prune"
    " -o ! -path /var/lib/backendai/join -printf '%p %m %U:%G %l\\n' -type f -exec sha256sum {} +"
)
# A node that got the payload, and then vanished before it said so.
_CLAIM = """
import pathlib, sys
sys.path.insert(0, "/usr/lib/backendai/target")
from backendai_ctl.join.client import fetch
from backendai_ctl.join.line import parse_invite
with fetch(parse_invite(pathlib.Path("/root/line").read_text()), lambda: "vanished"):
    pass
"""


def files(host: Host) -> list[str]:
    """What is on the disk where a join writes."""
    return sorted(host.run(_FILES).stdout.splitlines())


def keys(first: Node) -> list[str]:
    """All that etcd has."""
    return first.host.run(["etcdctl", "get", "--prefix", ""]).stdout.splitlines()


def end_invites(first: Node) -> None:
    """Stop the units of the invites that are open."""
    first.host.run("systemctl stop 'backendai-invite-*'")


@dataclass(kw_only=True)
class Refused:
    """A first node, and one that tries to join."""

    first: Node
    node: Node

    def check(self, line: str, status: int, *words: str) -> None:
        """One error and hint, without trace or token, and nothing has changed at either end."""
        before = files(self.node.host), files(self.first.host), keys(self.first)
        shown = join(self.node, line, check=False)
        said = shown.stdout + shown.stderr
        assert shown.status == status, said
        assert said.count("error:") == 1, said
        assert said.count("hint:") == 1, said
        for word in words:
            assert word in said
        assert "Traceback" not in said
        assert line.partition(".")[2][44:66] not in said
        after = files(self.node.host), files(self.first.host), keys(self.first)
        for old, new in zip(before, after, strict=True):
            assert not set(old) ^ set(new)


@contextmanager
def first_node(world: World, name: str) -> Iterator[Node]:
    """A manager whose stores other nodes reach."""
    with open_node(world, Kind.TRIXIE, name) as node:
        nodes.open_stores(node.host)
        node.host.run(["mkdir", "-p", "/etc/backend.ai"])
        at = node.host.address
        answers = f'[etcd]\naddresses = ["{at}:2379"]\n[redis]\naddress = "{at}:6379"\n'
        answers += f'[registry]\nca = "{_AUTHORITY}"\n'
        node.host.write("/etc/backend.ai/site.toml", answers, mode=0o640)
        node.host.run(_MAKE_AUTHORITY)
        node.install("backendai-manager", "backendai-client")
        node.wait_for("manager")
        yield node


@pytest.fixture(scope="module")
def case(world: World, request: pytest.FixtureRequest) -> Iterator[Refused]:
    """A manager, and an agent that is installed and has not joined; its tests go on in order."""
    say = Steps(request.config, "lines that are refused")
    with ExitStack() as stack:
        with say("a manager"):
            first = stack.enter_context(first_node(world, "first"))
        with say("an agent that is installed"):
            node = stack.enter_context(open_node(world, Kind.TRIXIE, "agent", stores=False))
            node.install("backendai-agent")
        yield Refused(first=first, node=node)


def test_a_line_that_is_no_invite_for_this_release(case: Refused) -> None:
    line = invite(case.first, "agent")
    case.check(line[:-3], _DATA, "is incomplete or was changed on its way")
    newer = line.replace("backendai-join-1.", "backendai-join-2.")
    case.check(newer, _HOST, "newer than this node's packages")
    end_invites(case.first)


def test_an_invite_that_is_used_or_too_late(case: Refused) -> None:
    line = invite(case.first, "agent")
    host = case.node.host
    # The node joins, and is made anew before it has written anything.
    host.write("/srv/used", line, mode=0o600)
    host.run("backendai-ctl join --fetch --file /srv/used && rm -r /var/lib/backendai/join")
    host.run("install -d -m 700 /var/lib/backendai/join; rm /srv/used")
    case.check(line, _REFUSED, "the invite is used or ended", "backendai-ctl invite --role agent")
    shown = case.first.host.run(["backendai-ctl", "invite", "--role", "agent", "--minutes", "1"])
    running = "systemctl list-units --state=running --plain --no-legend 'backendai-invite-*'"
    first = case.first.host
    first.wait_until("the invite ends", lambda: not first.run(running).stdout, timeout=180)
    case.check(shown.stdout, _REFUSED, "the invite has expired: it was valid until")


def test_an_invite_that_another_node_has_begun_to_use(case: Refused) -> None:
    line, first = invite(case.first, "agent"), case.first.host
    first.write("/root/line", line, mode=0o600)
    first.write("/root/claim.py", _CLAIM)
    first.run([_PYTHON, "-I", "-B", "/root/claim.py"])
    first.run("rm /root/line /root/claim.py")
    words = f"the invite was used already, by {first.address}"
    case.check(line, _REFUSED, words, "it has the cluster's secrets")
    end_invites(case.first)


def test_another_server_at_the_address_of_an_invite(case: Refused) -> None:
    first = case.first.host
    words = ["backendai-ctl", "invite", "--role", "agent", "--port", str(_PORT)]
    line = first.run(words).stdout.strip()
    end_invites(case.first)
    other = first.run(words).stdout.strip()
    pin = "is not the server that made the invite: its certificate has another fingerprint"
    case.check(line, _REFUSED, pin, "nothing was sent")
    assert "wrong token" not in first.run("journalctl -u 'backendai-invite-*'").stdout
    # Nothing was sent there: the other invite is as it was.
    assert "running" in first.run("systemctl list-units 'backendai-invite-*'").stdout
    assert other != line
    end_invites(case.first)
    first.run(f"systemd-run --unit impostor {_PYTHON} -m http.server {_PORT} --directory /srv")
    first.run(f"timeout 20 sh -c 'until ss -ltn | grep -q :{_PORT}; do sleep 0.2; done'")
    case.check(line, _NOT_READY, "does not speak TLS as an invite does")
    first.run(["systemctl", "stop", "impostor"])


def test_another_authority_and_another_answer(case: Refused) -> None:
    host, line = case.node.host, invite(case.first, "agent")
    own = host.run("cat /etc/backend.ai/site.toml").stdout
    host.run(_MAKE_AUTHORITY)
    host.write("/etc/backend.ai/site.toml", '[etcd]\naddresses = ["10.9.9.9:2379"]\n', mode=0o640)
    # Two conflicts, each an error of its own; the node keeps its word for the next attempt.
    before = files(host), files(case.first.host), keys(case.first)
    shown = join(case.node, line, check=False)
    assert shown.status == _SITE
    assert f"{_AUTHORITY} is another certificate than the first node's" in shown.stderr
    assert "10.9.9.9:2379" in shown.stderr
    assert shown.stderr.count("hint:") == 1
    now = [text for text in files(host) if "/backendai/join/" not in text]
    assert (now, files(case.first.host), keys(case.first)) == before
    host.write("/etc/backend.ai/site.toml", own, mode=0o640)
    case.check(line, _SITE, f"{_AUTHORITY} is another certificate than the first node's")
    # Corrected, the same line is good.
    host.write(_AUTHORITY, case.first.host.read(_AUTHORITY))
    join(case.node, line)
    host.run(["backendai-ctl", "status", "--wait"], timeout=650)


def test_an_invite_of_another_cluster(case: Refused, world: World) -> None:
    first, node = case.first, case.node
    with first_node(world, "second") as second:
        other = Refused(first=second, node=node)
        foreign = "this node belongs to another cluster"
        other.check(invite(second, "agent"), _REFUSED, foreign, "prepare-clone")
        # A seeded manager, too, is of its own cluster.
        manager = Refused(first=first, node=second)
        manager.check(invite(first, "manager"), _REFUSED, foreign, "prepare-clone")
        assert node.state("agent") == "active"
        for host in (first.host, node.host, second.host):
            assert not host.failed_units()
