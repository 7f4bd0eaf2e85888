"""What the cases share: the repository, evidence of a failure, the choice of cases."""

import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from builder.errors import BuilderError
from builder.paths import PROJECT
from tests.e2e import nodes
from tests.e2e.nodes import World
from tests.e2e.repository import open_repository
from tests.integration.conftest import dist, engine, images, steps
from tests.integration.dist import Dist

__all__ = ["dist", "engine", "images", "steps"]


def pytest_exception_interact(node: pytest.Item, call: object, report: object) -> None:
    """Keep what explains a failure, a folder for each case: its hosts may live on."""
    root = Path(os.environ.get("BUILDER_EVIDENCE") or PROJECT / "build" / "evidence")
    for host in nodes.OPEN:
        host.evidence = root / "e2e" / node.name.replace("/", "-") / host.name.split("-")[-2]
        try:
            host.collect_evidence()
        except (BuilderError, docker.errors.DockerException, OSError) as error:
            (root / "e2e").mkdir(parents=True, exist_ok=True)
            (root / "e2e" / "not-collected.txt").write_text(f"{host.name}: {error}\n")


@pytest.fixture(scope="session")
def world(
    engine: docker.DockerClient, dist: Dist, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The engine, and all packages under test published and served."""
    scratch = tmp_path_factory.mktemp("world")
    with open_repository(engine, scratch, dist) as repository:
        yield World(client=engine, repository=repository, scratch=scratch)
