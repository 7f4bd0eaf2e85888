"""A site's plug-in by dnf: loaded, and across an upgrade of its host with and without it."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.base.paths import PROJECT
from builder.base.run import Result
from builder.verify.hosts import Host, HostSetup
from tests.helpers.plugins import HOOK, write_site
from tests.helpers.toy import DATA_FOLDERS
from tests.integration.dist import MOUNT, Dist
from tests.integration.dnf import REPOSITORY, become_distribution, make_repository
from tests.integration.images import Images, Suite
from tests.integration.pluginhosts import call_builder, count, listed, wait_for
from tests.integration.revisions import raise_revision
from tests.integration.steps import Steps
from tests.integration.stores import start_stores

pytestmark = [pytest.mark.docker, pytest.mark.build, pytest.mark.full]

_HOSTS = ("backendai-runtime", "backendai-common", "backendai-manager")
_NEXT = 98
_DNF_TIMEOUT_S = 900
_LOADED = "toy_hook 1.0 is loaded"
_NEW = "/new"


@dataclass(frozen=True, kw_only=True)
class Node:
    """A host that knows the packages of today; those of the next revision lie beside them."""

    host: Host
    next_hosts: list[str]
    next_plugin: list[str]

    def publish(self, files: list[str]) -> None:
        """Add packages to the repository of the host."""
        self.host.run(["ln", "-s", *(f"{_NEW}/{name}" for name in files), REPOSITORY])
        self.host.run(["createrepo_c", "--quiet", REPOSITORY], timeout=120)
        self.host.run(["dnf", "clean", "expire-cache"])

    def dnf(self, *words: str, check: bool = True) -> Result:
        """Call dnf without questions."""
        release = self.host.read("/etc/dnf/vars/releasever").strip()
        command = ["dnf", f"--releasever={release}", "--assumeyes", *words]
        # The end of a transaction waits for the manager, which two busy cores start in minutes.
        return self.host.run(command, check=check, timeout=_DNF_TIMEOUT_S)

    def revision(self, package: str) -> str:
        """The revision of an installed package."""
        return self.host.run(["rpm", "-q", "--queryformat", "%{RELEASE}", package]).stdout


@pytest.fixture(scope="module")
def plugins(dist: Dist, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The plug-in for the packages of today, and it and its hosts of the next revision."""
    folder = tmp_path_factory.mktemp("plugins-rpm")
    site = write_site(folder / "site")
    call_builder(site, "lock")
    today = folder / "today"
    call_builder(site, "build", HOOK, "--format", "rpm", "--out", str(today))
    for name in dist.names(PackageFormat.RPM, *_HOSTS):
        (today / name).hardlink_to(dist.folder / name)
    project = folder / "project"
    for name in ("builder", *DATA_FOLDERS):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, project / name, ignore=ignored)
    raise_revision(project / "pkgspec/releases/26.9.toml", _NEXT)
    words = ("build", *_HOSTS, HOOK, "--format", "rpm", "--out", str(folder / "next"))
    call_builder(site, *words, project=project)
    return {"today": today, "next": folder / "next"}


@pytest.fixture
def node(
    engine: docker.DockerClient, images: Images, plugins: dict[str, Path], tmp_path: Path
) -> Iterator[Node]:
    """A host of rpms whose stores answer, and which knows the packages of today."""
    names = {key: sorted(path.name for path in at.glob("*.rpm")) for key, at in plugins.items()}
    mounts = {plugins["today"]: MOUNT, plugins["next"]: _NEW}
    setup = HostSetup(image=images.rpm(), name="plugins-rpm", mounts=mounts)
    with Host(engine, setup) as host:
        become_distribution(host, names["today"], tmp_path)
        make_repository(host, names["today"])
        start_stores(host, Suite.TRIXIE)
        yield Node(
            host=host,
            next_hosts=[name for name in names["next"] if not name.startswith(HOOK)],
            next_plugin=[name for name in names["next"] if name.startswith(HOOK)],
        )


def test_a_plug_in_across_an_upgrade_of_its_host(node: Node, steps: Steps) -> None:
    host = node.host
    with steps("install"):
        node.dnf("install", "backendai-manager", HOOK)
        wait_for(host, "manager", _LOADED)
    today = node.revision("backendai-manager")
    assert listed(host)["toy-hook"]["state"] == "enabled"

    with steps("an upgrade that would break it"):
        node.publish(node.next_hosts)
        said = node.dnf("--best", "upgrade", check=False)
        assert said.status
        reason = f"{HOOK}-26.9.6-{today}.x86_64 .* requires backendai-manager = 26.9.6-{today}"
        printed = " ".join((said.stdout + said.stderr).split())
        assert re.search(reason, printed), printed
        assert {node.revision(name) for name in (*_HOSTS, HOOK)} == {today}
        state = host.run(["systemctl", "is-active", "backendai-manager"], check=False).stdout
        assert state in ("active\n", "activating\n")

    with steps("an upgrade with it"):
        node.publish(node.next_plugin)
        seen = count(host, "manager", _LOADED)
        node.dnf("upgrade")
        assert {node.revision(name) for name in (*_HOSTS, HOOK)} == {str(_NEXT)}
        wait_for(host, "manager", _LOADED, seen)
        assert listed(host)["toy-hook"]["state"] == "enabled"

    with steps("remove"):
        node.dnf("remove", HOOK)
        assert not listed(host)
        assert not host.run("find /opt/backendai -name 'toy_hook*'").stdout
