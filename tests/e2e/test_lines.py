"""Every maintained line as a node that people use, and its upgrade to the newest line."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from packaging.version import Version

from builder.base.model import PackageFormat
from builder.base.paths import PKGSPEC
from builder.spec import ReleaseSpec, load_spec
from tests.e2e import hub, kernel
from tests.e2e.nodes import SERVICES, VOLUME_HOST, Kind, Login, Node, World, open_node
from tests.e2e.previous import PIN, releases, stay_at, wait_for_agent
from tests.e2e.single import show_to_browsers
from tests.integration.apt import apt
from tests.integration.dist import Dist, have_release
from tests.integration.steps import Steps
from tests.integration.stores import run_sql

pytestmark = [pytest.mark.docker, pytest.mark.full]

_ALL = (*SERVICES, "graphql", "agent", "appproxy-coordinator", "appproxy-worker")
_INSTALLED = ("backendai", *(f"backendai-{service}" for service in _ALL if service != "graphql"))
_FOLDER, _FILE, _TEXT = "kept", "note.txt", "still here\n"
_GROUP = "SELECT DISTINCT scaling_group FROM agents"


def maintained() -> list[ReleaseSpec]:
    """The releases of maintained lines that the newest line upgrades from."""
    spec = load_spec(PKGSPEC)
    newest, today = spec.release(None), datetime.now(UTC).date()
    return [
        release
        for release in spec.releases.values()
        if release.is_maintained(today)
        and Version(release.version) < Version(newest.version)
        and release.line in newest.upgrades_from
    ]


@pytest.fixture(params=[Kind.TRIXIE, Kind.RPM])
def kind(request: pytest.FixtureRequest) -> Kind:
    """What the host is."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture(params=maintained(), ids=lambda release: release.version)
def release(request: pytest.FixtureRequest, world: World, dist: Dist, kind: Kind) -> ReleaseSpec:
    """A release of a maintained line, which is in the repository then, too."""
    chosen: ReleaseSpec = request.param
    fmt = PackageFormat.RPM if kind.has_rpms else PackageFormat.DEB
    files = have_release(dist, chosen.version, fmt, *chosen.packages)
    world.repository.add(*(dist.folder / name for name in files))
    return chosen


@pytest.fixture
def node(world: World, kind: Kind, release: ReleaseSpec) -> Iterator[Node]:
    """A host that knows both releases, and has none."""
    mounts = kernel.mounts(world.client)
    with open_node(world, kind, f"line-{release.line}-{kind}", mounts=mounts) as opened:
        yield opened


def test_a_line_is_used_and_upgraded(
    node: Node, release: ReleaseSpec, dist: Dist, steps: Steps
) -> None:
    """Login, folder and session before and after, and what was there is there still."""
    with steps(f"install {release.version}"):
        if node.kind.has_rpms:
            # The stub of a distribution stands in for its Docker, too.
            apt(node.host, "install", "docker.io", "docker-cli")
        else:
            stay_at(node, release.version)
        show_to_browsers(node)
        hub.name_as_main(node.host)
        node.install(*_chosen(node.kind, release))
        node.wait_for(*_services(release))
        assert releases(node) == {release.version}
        check_up(node)
    login = node.login()
    with steps("use"):
        node.client(login, "vfolder", "create", _FOLDER, VOLUME_HOST)
        node.host.write(f"/srv/user/{_FILE}", _TEXT)
        node.client(login, "vfolder", "upload", _FOLDER, _FILE)
        have_registry(node)
        compute(node, login, "before")
    with steps(f"upgrade to {dist.version}"):
        node.host.run(["rm", "-f", PIN])
        node.upgrade()
        node.wait_for(*_services(release))
        assert releases(node) == {dist.version}
        check_up(node)
    with steps("use again"):
        assert node.login() == login
        node.client(login, "vfolder", "download", _FOLDER, _FILE, cwd="/srv/user/back")
        assert node.host.read(f"/srv/user/back/{_FILE}") == _TEXT
        compute(node, login, "after")


def check_up(node: Node) -> None:
    """All is well by the tool, by systemd, and by each configuration's own model."""
    status = node.host.run(["backendai-ctl", "status"], check=False)
    assert status.status == 0, status.stdout + status.stderr
    assert not node.host.failed_units()
    for service in ("manager", "storage-proxy", "webserver", "agent"):
        checked = node.host.run(["backendai-ctl", "check-config", service])
        assert "warning" not in checked.stdout + checked.stderr, service


def have_registry(node: Node) -> None:
    """Images come from a registry as a site has one: 26.8 pulls images of a local one, too."""
    hub.open_registry(node.host)
    hub.name_in_site(node)
    node.host.run(["backendai-ctl", "seed", "apply"], timeout=180)
    hub.give_image(node)
    node.host.run(["backend.ai", "mgr", "image", "rescan", hub.NAME], timeout=120)


def compute(node: Node, login: Login, name: str) -> None:
    """A session pulls its image and computes, with a folder, in the default resource group."""
    wait_for_agent(node, login)
    assert run_sql(node.host, _GROUP, database="backend").split() == ["default"]
    node.host.run(["docker", "image", "rm", "--force", hub.IMAGE], check=False)
    options = ["--name", name, "--max-wait", "120", "-r", "cpu=1", "-r", "mem=256m", "-m", _FOLDER]
    node.client(login, "session", "create", *options, hub.IMAGE, timeout=180)
    ask = ["run", "-q", "-t", name, "-c", "print(6*7)", hub.IMAGE]
    assert "42" in node.client(login, *ask, timeout=120)
    node.client(login, "session", "destroy", name)
    node.host.wait_until("the session has ended", lambda: not kernel.containers(node), timeout=90)


def _chosen(kind: Kind, release: ReleaseSpec) -> list[str]:
    """What an operator names: rpms with their version, and not the metapackage of the stores."""
    if not kind.has_rpms:
        return [name for name in _INSTALLED if name in release.packages]
    names = [f"backendai-{service}" for service in (*_services(release), "client")]
    return [f"{name}-{release.package_version}" for name in names]


def _services(release: ReleaseSpec) -> list[str]:
    return [service for service in _ALL if f"backendai-{service}" in release.packages]
