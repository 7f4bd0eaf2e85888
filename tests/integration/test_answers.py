"""The same answers by debconf, by variables and on an rpm host make the same site.toml."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.verify.hosts import Host, HostSetup
from tests.integration import checks
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import RUNTIME, Dist
from tests.integration.dnf import become_distribution, make_repository
from tests.integration.images import Images, Suite
from tests.integration.steps import Steps

pytestmark = pytest.mark.docker

_MOUNT = "/dist"
_SITE = f"{checks.SETTINGS}/site.toml"
_PACKAGES = ("backendai-common", "backendai-webserver")
# The addresses are for documentation (RFC 5737): nothing answers there.
_ANSWERS = {
    "etcd-addresses": "192.0.2.11:2379,192.0.2.12:2379",
    "database-address": "192.0.2.20:5432",
    "redis-address": "192.0.2.30:6379",
    "admin-email": "ops@example.org",
}
_VARIABLES = [
    f"BACKENDAI_{name.replace('-', '_').upper()}={value}" for name, value in _ANSWERS.items()
]


def preseed(host: Host, answers: dict[str, str]) -> None:
    """Answer debconf's questions before the installation, as automation does."""
    lines = "".join(
        f"backendai-common backendai-common/{name} string {value}\n"
        for name, value in answers.items()
    )
    host.write("/root/preseed", lines)
    host.run(["debconf-set-selections", "/root/preseed"])


def reconfigure(host: Host) -> str:
    """What `dpkg-reconfigure` says, with nobody to answer."""
    frontend = ["env", "DEBIAN_FRONTEND=noninteractive"]
    return host.run([*frontend, "dpkg-reconfigure", "backendai-common"]).stderr


@pytest.fixture
def debs(dist: Dist) -> list[str]:
    """The packages that ask and use the answers, by their paths on a host."""
    return [f"{_MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *_PACKAGES)]


@pytest.fixture
def host(engine: docker.DockerClient, images: Images, dist: Dist) -> Iterator[Host]:
    """A clean Debian 12."""
    setup = HostSetup(
        image=images.stores(Suite.BOOKWORM), name="answers-deb", mounts={dist.folder: _MOUNT}
    )
    with Host(engine, setup) as opened:
        refresh_lists(opened)
        yield opened


@pytest.fixture
def rpm_host(
    engine: docker.DockerClient, images: Images, dist: Dist, tmp_path: Path
) -> Iterator[Host]:
    """A clean host of rpms that knows the packages."""
    rpms = dist.names(PackageFormat.RPM, *_PACKAGES)
    setup = HostSetup(image=images.rpm(), name="answers-rpm", mounts={dist.folder: _MOUNT})
    with Host(engine, setup) as opened:
        become_distribution(opened, rpms, tmp_path)
        make_repository(opened, rpms)
        yield opened


def install_preseeded(host: Host, debs: Sequence[str], steps: Steps) -> str:
    """Answer by debconf and install; returns the site.toml that this made."""
    with steps("preseeded"):
        preseed(host, _ANSWERS)
        apt(host, "install", *debs)
    made = host.read(_SITE)
    assert 'addresses = ["192.0.2.11:2379", "192.0.2.12:2379"]' in made
    assert host.run(["stat", "-c", "%U:%G %a", _SITE]).stdout == "root:backendai 640\n"
    host.run(["test", "!", "-e", "/var/lib/backendai/early-answers"])
    return made


def test_debconf(host: Host, debs: Sequence[str], steps: Steps) -> None:
    made = install_preseeded(host, debs, steps)
    check_reconfiguring(host, made)


@pytest.mark.full  # debconf's answers stand for them: they are passed on as variables
def test_debconf_and_variables(
    host: Host, debs: Sequence[str], rpm_host: Host, steps: Steps
) -> None:
    made = install_preseeded(host, debs, steps)
    with steps("variables"):
        apt(host, "purge", *reversed(_PACKAGES), RUNTIME)
        # A purged package leaves no answers behind for the next.
        assert "backendai" not in host.run(["debconf-show", "backendai-common"]).stdout
        host.run(["env", "DEBIAN_FRONTEND=noninteractive", *_VARIABLES, "dpkg", "-i", *debs])
    assert host.read(_SITE) == made
    with steps("a wrong answer"):
        give_wrong_answer(host, debs)
    with steps("variables, by dnf"):
        release = rpm_host.read("/etc/dnf/vars/releasever").strip()
        dnf = ["dnf", f"--releasever={release}", "--assumeyes", "install"]
        rpm_host.run(["env", *_VARIABLES, *dnf, "backendai-webserver"], timeout=240)
    assert rpm_host.read(_SITE) == made


def give_wrong_answer(host: Host, debs: Sequence[str]) -> None:
    """It is named, nothing is half installed, and another answer repairs it."""
    apt(host, "purge", *reversed(_PACKAGES), RUNTIME)
    preseed(host, {"redis-address": "nonsense"})
    output = host.run(
        ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", *debs]
    )
    said = output.stdout + output.stderr
    assert 'BACKENDAI_REDIS_ADDRESS = "nonsense": must be HOST:PORT' in said
    assert not host.run(["dpkg", "--audit"]).stdout
    preseed(host, {"redis-address": "192.0.2.30:6379"})
    reconfigure(host)
    host.run(["backendai-ctl", "configure", "webserver"])
    assert 'address = "192.0.2.30:6379"' in host.read(_SITE)


def check_reconfiguring(host: Host, made: str) -> None:
    """An admin's file wins over old answers; new answers change just their lines."""
    edited = made.replace('namespace = "local"', 'namespace="mine" # edited').replace(
        "192.0.2.30", "192.0.2.31"
    )
    host.run(
        [
            "sed",
            "-i",
            's/^namespace = .*/namespace="mine" # edited/; s/192.0.2.30/192.0.2.31/',
            _SITE,
        ]
    )
    reconfigure(host)
    assert host.read(_SITE) == edited
    shown = host.run(["debconf-show", "backendai-common"]).stdout
    assert "backendai-common/redis-address: 192.0.2.31:6379" in shown
    host.run(["backendai-ctl", "site", "set", "redis.address", "192.0.2.32:6379"])
    assert host.read(_SITE) == edited.replace("192.0.2.31", "192.0.2.32")
    host.run(["backendai-ctl", "site", "set", "redis.address", "192.0.2.31:6379"])
