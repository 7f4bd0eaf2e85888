"""``builder verify`` as a release engineer calls it, on images that are named.

Here no registry is asked: the images are made on the spot and called as a site would.
"""

import json
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from builder.base.errors import ExitCode
from builder.base.model import PackageFormat
from builder.base.paths import PROJECT
from builder.base.run import Result, run
from builder.verify.engine import Client
from builder.verify.hosts import Host, HostSetup
from builder.verify.images import REPOSITORY as VERIFIED
from tests.integration.dist import Dist
from tests.integration.dnf import install_stub
from tests.integration.images import REPOSITORY, Images, Suite
from tests.integration.stub import Release

pytestmark = [pytest.mark.docker, pytest.mark.full]

# Debian's stores and systemd, with rpm's packages on top: nothing is to be added.
_DISTRIBUTIONS = """\
[[distribution]]
name = "enterprise-linux"
image = "rockylinux:9"
manager = "{manager}"
id = "rocky"
version = "9"
units = ["postgresql", "valkey-server", "etcd"]
drop-ins = {{ valkey-server = "[Service]\\nPrivateUsers=false\\n" }}
"""
_OS_RELEASE = 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.6"\n'
_UBUNTU = 'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n'
_STEPS = ["boot", "stores", "install", "start", "answer", "remove", "purge"]
_NODE = ("backendai-manager", "backendai-storage-proxy", "backendai-webserver")


@pytest.fixture
def rocky(engine: Client, tmp_path: Path) -> Iterator[str]:
    """An image that says it is Rocky Linux, and takes rpms."""
    yield from _image(engine, Images(engine).rpm(), _OS_RELEASE, scratch=tmp_path)


@pytest.fixture
def ubuntu(engine: Client) -> Iterator[str]:
    """An image that says it is Ubuntu."""
    yield from _image(engine, Images(engine).stores(Suite.BOOKWORM), _UBUNTU)


@pytest.mark.parametrize("manager", ["dnf", "zypper"])
def test_rpms_of_a_node_on_a_named_image(
    rocky: str, manager: str, dist: Dist, tmp_path: Path
) -> None:
    known = tmp_path / "distributions.toml"
    known.write_text(_DISTRIBUTIONS.format(manager=manager))
    junit = tmp_path / "verify.xml"
    options = ["--image", rocky, "--distributions", str(known), "--junit", str(junit)]
    done = verify(dist, PackageFormat.RPM, _NODE, [*options, "--json"], tmp_path)
    (case,) = json.loads(done.stdout)["cases"]
    assert case["ok"], done.stdout
    assert [(step["name"], step["status"]) for step in case["steps"]] == [
        (name, "skipped" if name == "purge" else "ok") for name in _STEPS
    ]
    # What they need of the same folder came along.
    assert set(case["packages"]) == {*_NODE, "backendai-common", "backendai-runtime"}
    (suite,) = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == (str(len(_STEPS)), "0")


def test_a_debian_like_image_by_its_name(ubuntu: str, dist: Dist, tmp_path: Path) -> None:
    """Set up as pkgspec says of Ubuntu; the table is what a person reads."""
    junit = tmp_path / "verify.xml"
    options = ["--image", ubuntu, "--junit", str(junit)]
    done = verify(dist, PackageFormat.DEB, ["backendai-manager"], options, tmp_path)
    head, row = done.stdout.splitlines()[:2]
    assert head.split() == ["distribution", *_STEPS]
    assert row.count(" ok ") == len(_STEPS), done.stdout
    assert row.startswith(ubuntu.replace(":", "-"))


def test_a_failure_is_reported_and_leaves_its_evidence(
    ubuntu: str, dist: Dist, tmp_path: Path
) -> None:
    """The account's number is somebody else's: refused, and one folder explains it."""
    known = tmp_path / "distributions.toml"
    entry = _DISTRIBUTIONS.format(manager="apt").replace("rocky", "ubuntu")
    entry = entry.replace("valkey", "redis").replace('version = "9"', 'version = "24"')
    known.write_text(f'{entry}setup = ["useradd --uid 1100 somebody"]\n')
    junit, evidence = tmp_path / "verify.xml", tmp_path / "evidence"
    options = ["--image", ubuntu, "--distributions", str(known), "--junit", str(junit)]
    names = ["backendai-manager"]
    done = verify(dist, PackageFormat.DEB, names, options, tmp_path, status=ExitCode.VERIFY)
    assert "somebody" in done.stdout
    (folder,) = evidence.iterdir()
    assert str(folder) in done.stdout
    kept = {path.name for path in folder.iterdir()}
    assert {"journal.txt", "commands.txt", "doctor.txt", "apt", "dpkg.log"} <= kept
    assert "1100" in (folder / "apt" / "term.log").read_text()
    failure = ElementTree.parse(junit).find(".//failure")
    assert failure is not None
    assert str(folder) in (failure.text or "")


def verify(  # noqa: PLR0913, PLR0917
    dist: Dist,
    kind: PackageFormat,
    packages: Sequence[str],
    options: Sequence[str],
    folder: Path,
    status: int = 0,
) -> Result:
    """Call ``builder verify`` on these packages of ``dist``."""
    files = [str(dist.folder / name) for name in dist.names(kind, *packages)]
    own = ["--evidence", str(folder / "evidence")]
    command = [sys.executable, "-m", "builder", "verify", *files, *options, *own]
    done = run(command, cwd=PROJECT, env={"COLUMNS": "200"}, check=False)
    assert done.status == status, done.stdout + done.stderr
    return done


def _image(
    engine: Client, parent: str, os_release: str, scratch: Path | None = None
) -> Iterator[str]:
    """A name that is made for a test; with ``scratch``, it has what an rpm distribution has."""
    tag = f"named-{secrets.token_hex(4)}"
    with Host(engine, HostSetup(image=parent, name="verify-image", volumes=())) as host:
        if scratch is not None:
            install_stub(host, Release.EL9, scratch)
        host.write("/etc/os-release", os_release)
        host.run("rm -rf /var/log/journal/* /etc/machine-id; : >/etc/machine-id; sync")
        host.snapshot(REPOSITORY, tag)
    name = f"{REPOSITORY}:{tag}"
    try:
        yield name
    finally:
        tags = [other for image in engine.images.list(VERIFIED) for other in image.tags]
        for image_name in (name, *(other for other in tags if tag in other)):
            engine.images.remove(image_name)
