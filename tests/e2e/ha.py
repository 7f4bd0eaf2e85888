"""A highly available set, made by the commands of the guide, and the faults that it survives."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from secrets import token_hex

from tests.e2e.guide import HIGH_AVAILABILITY, read_blocks
from tests.e2e.nodes import WEB_PORT, Kind, Node, World, open_node
from tests.integration.steps import Steps

NODES = ("n1", "n2", "n3")
_ENV = "/root/ha.env"
_LINES = ("/root/line-manager", "/root/line-web")
# What a container cannot give the unit; see tests/integration/images.py.
_SENTINEL_DROP_IN = "/etc/systemd/system/valkey-sentinel.service.d"
_PASSWORDS = ("database_password", "replication_password", "redis_password")
_BLOCK_TIMEOUT_S = 900
_SETTLE_TIMEOUT_S = 180
_SENTINEL_ASKED = 'REDISCLI_AUTH="$redis_password" valkey-cli -p 26379 sentinel '


@dataclass(kw_only=True)
class HaSet:
    """Four hosts and the guide's commands."""

    nodes: Mapping[str, Node]  # n1, n2, n3 and front
    blocks: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where users are."""
        return f"http://{self.nodes['front'].host.address}:{WEB_PORT}"

    def write_environments(self) -> None:
        """What the guide wants on every host."""
        addresses = " ".join(f"{name}={node.host.address}" for name, node in self.nodes.items())
        passwords = " ".join(f"{name}={token_hex(24)}" for name in _PASSWORDS)
        for name, node in self.nodes.items():
            own = f"me={name} here={node.host.address}"
            node.host.write(_ENV, f"{addresses}\n{passwords}\n{own}\n", mode=0o600)

    def run(self, where: str, script: str, *, check: bool = True) -> str:
        """Run a script with the guide's variables; what it printed."""
        text = f"set -e\n. {_ENV}\n{script}"
        return self.nodes[where].host.run(text, timeout=_BLOCK_TIMEOUT_S, check=check).stdout

    def do(self, where: str, title: str) -> str:
        """Run one block of the guide on one host."""
        return self.run(where, self.blocks[title])

    def everywhere(self, title: str, hosts: Sequence[str] = NODES) -> None:
        """Run it on each of these hosts."""
        for name in hosts:
            self.do(name, title)

    def until(self, what: str, ready: Callable[[], bool]) -> None:
        """Wait for something of the set."""
        self.nodes["n1"].host.wait_until(what, ready, timeout=_SETTLE_TIMEOUT_S)

    def until_shown(self, title: str, *words: str) -> None:
        """Wait until a block that shows something on n1 shows all of these."""
        self.until(title, lambda: all(word in self.do("n1", title) for word in words))

    def node_at(self, address: str) -> str:
        """The name of the node with an address."""
        (found,) = [name for name in NODES if self.nodes[name].host.address == address]
        return found

    def etcd_leader(self, ask: str) -> str:
        """Which node leads etcd, as a member on ``ask`` says."""
        said = self.run(ask, f"etcdctl --endpoints={self._etcd()} endpoint status -w json || true")
        for member in json.loads(said):
            status = member["Status"]
            if status["header"]["member_id"] == status["leader"]:
                return self.node_at(member["Endpoint"].split("//")[1].split(":")[0])
        return ""

    def _etcd(self) -> str:
        return ",".join(f"http://{self.nodes[name].host.address}:2379" for name in NODES)

    def valkey_master(self, ask: str) -> str:
        """Which node has the server that takes writes, as the Sentinel on ``ask`` says."""
        return self.node_at(
            self.run(ask, f"{_SENTINEL_ASKED} get-master-addr-by-name mymaster").split()[0]
        )

    def replicas(self, ask: str) -> int:
        """How many replicas are in order."""
        said = self.run(
            ask, f"{_SENTINEL_ASKED} ckquorum mymaster; {_SENTINEL_ASKED} replicas mymaster"
        )
        return said.count("master-link-status\nok")

    def members(self, where: str) -> str:
        """What the doctor says of members on a node; empty if all is well."""
        done = self.nodes[where].host.run(
            ["backendai-ctl", "doctor", "--only", "member"], check=False, timeout=120
        )
        return "" if done.status == 0 else " ".join((done.stdout + done.stderr).split())


@contextmanager
def open_set(world: World, steps: Steps) -> Iterator[HaSet]:
    """The whole set, as it is after the guide's last section."""
    with ExitStack() as stack:
        nodes = {
            name: stack.enter_context(open_node(world, Kind.TRIXIE, name, stores=name in NODES))
            for name in (*NODES, "front")
        }
        for name in NODES:
            nodes[name].host.run(["mkdir", "-p", _SENTINEL_DROP_IN])
            nodes[name].host.write(
                f"{_SENTINEL_DROP_IN}/container.conf", "[Service]\nPrivateUsers=false\n"
            )
        found = HaSet(nodes=nodes, blocks=read_blocks(HIGH_AVAILABILITY))
        found.write_environments()
        _make_stores(found, steps)
        _make_managers(found, steps)
        yield found


def _make_stores(ha: HaSet, steps: Steps) -> None:
    """Sections 1 to 4 of the guide."""
    addresses = [f"{ha.nodes[name].host.address}:2379" for name in NODES]
    with steps("etcd"):
        ha.everywhere("on n1, n2 and n3: etcd")
        ha.until_shown("on n1: see the members of etcd", *addresses)
    with steps("Valkey and Sentinels"):
        ha.everywhere("on n1, n2 and n3: Valkey")
        ha.everywhere("on n1, n2 and n3: the Sentinel")
        ha.until_shown(
            "on n1: see the replicas and Sentinels", "OK 3 usable Sentinels", "num-slaves\n2"
        )
    with steps("PostgreSQL"):
        ha.everywhere("on n1 and n2: PostgreSQL for the nodes' network", ("n1", "n2"))
        ha.do("n1", "on n1: the role of the standby")
        ha.do("n2", "on n2: the standby")
        ha.until_shown("on n1: see the standby", "streaming")
    with steps("proxy"):
        ha.do("front", "on front: the proxy")


def _make_managers(ha: HaSet, steps: Steps) -> None:
    """Sections 5 and 6."""
    with steps("the first node"):
        ha.do("n1", "on n1: answers and packages")
    for name in NODES[1:]:
        with steps(f"{name} joins"):
            ha.do("n1", "on n1: one line for each role of a new node")
            for path in _LINES:
                line = ha.nodes["n1"].host.read(path)
                ha.nodes[name].host.write(path, line, mode=0o600)
            ha.do(name, "on n2 and n3: packages, then join by the lines")
    ha.everywhere("on n1, n2 and n3: nothing is amiss")
