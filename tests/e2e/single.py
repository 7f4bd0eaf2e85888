"""A single node with every service, as the cases that use one share it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e import hub, kernel
from tests.e2e.nodes import SERVICES, Kind, Node, World, open_node
from tests.integration.apt import apt
from tests.integration.steps import Steps

PROXIES = ("appproxy-coordinator", "appproxy-worker")
ALL = (*SERVICES, "graphql", "agent", *PROXIES)
MOCK = "backendai-accelerator-mock"
_SITE = "/etc/backend.ai/site.toml"


def kinds() -> list[object]:
    """What a single node may be; the cases of one share it."""
    return [
        pytest.param(Kind.TRIXIE),
        pytest.param(Kind.BOOKWORM, marks=pytest.mark.full),
        pytest.param(Kind.RPM),
        pytest.param(Kind.ZYPPER, marks=pytest.mark.full),
    ]


def packages(kind: Kind) -> list[str]:
    """What is installed by name: no metapackage where the stub has the stores."""
    if kind.has_rpms:
        return [*(f"backendai-{service}" for service in (*ALL, "client")), MOCK]
    # What the metapackage recommends, which tests do not follow for what else that brings.
    return ["backendai", "backendai-agent", *(f"backendai-{proxy}" for proxy in PROXIES), MOCK]


class SingleNodes:
    """The nodes that the modules of one worker share; each is made when one first asks."""

    def __init__(self, world: World, config: pytest.Config) -> None:
        self._world = world
        self._config = config
        self._open: dict[Kind, tuple[Node, ExitStack]] = {}

    def open(self, kind: Kind) -> Node:
        """The node of this kind, with every service up."""
        if kind not in self._open:
            with ExitStack() as stack:
                say = Steps(self._config, f"single node, {kind}")
                node = stack.enter_context(_open_single(self._world, kind, say))
                self._open[kind] = (node, stack.pop_all())
        return self._open[kind][0]

    def close(self, kind: Kind) -> None:
        """Remove the node, if there is one."""
        if kind in self._open:
            _, stack = self._open.pop(kind)
            stack.close()

    def close_all(self) -> None:
        """Remove what modules that did not come to their end have left."""
        for kind in list(self._open):
            self.close(kind)


@contextmanager
def _open_single(world: World, kind: Kind, say: Steps) -> Iterator[Node]:
    """A node whose services are up, and which browsers of this machine know by its address."""
    with open_node(world, kind, f"single-{kind}", mounts=kernel.mounts(world.client)) as node:
        with say("install"):
            if kind.has_rpms:
                # The stub of a distribution stands in for its Docker, too.
                apt(node.host, "install", "docker.io", "docker-cli")
            show_to_browsers(node)
            hub.name_as_main(node.host)
            node.install(*packages(kind))
        with say("all services are active"):
            node.wait_for(*ALL)
        yield node


def show_to_browsers(node: Node) -> None:
    """Give the one answer that a browser on another machine needs, before the installation."""
    node.host.run(["mkdir", "-p", _SITE.rpartition("/")[0]])
    node.host.write(_SITE, f'[node]\npublic-host = "{node.host.address}"\n', mode=0o640)
