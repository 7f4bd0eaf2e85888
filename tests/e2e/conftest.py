"""What the cases share: the repository, evidence of a failure, the choice of cases."""

import os
from collections.abc import Iterator

import docker
import pytest

from builder.base.errors import BuilderError
from tests.e2e import nodes, single
from tests.e2e.nodes import Node, World
from tests.e2e.repository import open_repository
from tests.e2e.scheduling import HostScheduling
from tests.e2e.single import SingleNodes
from tests.integration.conftest import dist, engine, images, steps
from tests.integration.dist import Dist

__all__ = ["dist", "engine", "images", "steps"]


# What a node with every service and a session takes, and room for the machine itself.
_NODE_BYTES = 6 << 30


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many at a time as memory allows; the cases of one host stay together."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(os.cpu_count() or 1, memory // _NODE_BYTES))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> HostScheduling | None:
    """Group cases by their hosts where the command line wants groups."""
    return HostScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_exception_interact(node: pytest.Item, call: object, report: object) -> None:
    """Keep what explains a failure, a folder for each case: its hosts may live on."""
    for name, host in nodes.OPEN.items():
        host.evidence = nodes.evidence_folder(node.name, name)
        try:
            host.collect_evidence()
        except (BuilderError, docker.errors.DockerException, OSError) as error:
            host.evidence.mkdir(parents=True, exist_ok=True)
            (host.evidence / "not-collected.txt").write_text(f"{error}\n")


@pytest.fixture(scope="session")
def world(
    engine: docker.DockerClient, dist: Dist, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The engine, and all packages under test published and served."""
    scratch = tmp_path_factory.mktemp("world")
    with open_repository(engine, scratch, dist) as repository:
        yield World(client=engine, repository=repository, scratch=scratch)


@pytest.fixture(scope="session")
def single_nodes(world: World, request: pytest.FixtureRequest) -> Iterator[SingleNodes]:
    """The single nodes of this worker."""
    opened = SingleNodes(world, request.config)
    yield opened
    opened.close_all()


@pytest.fixture(scope="module", params=single.kinds())
def node(request: pytest.FixtureRequest, single_nodes: SingleNodes) -> Node:
    """A node with every service of a single node, installed from the repository and up."""
    return single_nodes.open(request.param)
