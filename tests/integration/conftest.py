"""What the integration tests share: the engine, the images, the packages, progress."""

import os
from collections.abc import Iterator

import docker
import pytest

from builder.verify.engine import EngineUnavailableError, connect
from builder.verify.hosts import Host, HostSetup
from tests.integration.apt import refresh_lists
from tests.integration.dist import MOUNT, Dist, NoPackagesError, freeze, tested
from tests.integration.images import Images, Suite
from tests.integration.steps import Steps
from tests.integration.stores import start_stores


@pytest.fixture
def steps(request: pytest.FixtureRequest) -> Steps:
    """Progress of this test."""
    return Steps(request.config, request.node.name)


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The Docker engine; without one the test is skipped, saying how to get it."""
    if os.geteuid() != 0:
        pytest.skip("the images of clean hosts are made as root: run as root")
    try:
        client = connect()
    except EngineUnavailableError as error:
        pytest.skip(f"{error.message}; {error.hint}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def images(engine: docker.DockerClient) -> Images:
    """The maker of images."""
    return Images(engine)


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Dist:
    """The packages to test: those of BUILDER_DIST, or of the project's dist/."""
    try:
        found = tested()
    except NoPackagesError as error:
        pytest.skip(f"{error.message}; {error.hint}")
    return freeze(found, tmp_path_factory.mktemp("dist"))


@pytest.fixture
def host(
    engine: docker.DockerClient, images: Images, dist: Dist, request: pytest.FixtureRequest
) -> Iterator[Host]:
    """A clean Debian 13 whose stores answer, and which has the packages at MOUNT."""
    setup = HostSetup(
        image=images.stores(Suite.TRIXIE),
        name=request.node.name.partition("[")[0].replace("_", "-")[5:40],
        mounts={dist.folder: MOUNT},
        volumes=("/opt",),
    )
    with Host(engine, setup) as host:
        refresh_lists(host)
        start_stores(host, Suite.TRIXIE)
        yield host
