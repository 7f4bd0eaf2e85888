"""A service added from data alone, in a copy of the project, is built, installed and removed."""

import os
import sys
from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.base.run import run
from builder.verify.hosts import Host, HostSetup
from builder.verify.listing import differences, take_listing
from tests.helpers.toy import DATA_FOLDERS, FOLDER, PACKAGE, copy_with_toy
from tests.integration import checks
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import MOUNT, Dist
from tests.integration.images import Images, Suite

pytestmark = pytest.mark.docker

_UNIT = "backendai-toy.service"
_FILE = f"{checks.SETTINGS}/toy.toml"
# What all services share is made for the first one, and goes with the last one that was configured.
_SHARED = ("/etc/backend.ai/site.toml", "/var/lib/backendai/", "/var/log/backendai")
_NEW = {
    PACKAGE: """\
name = "backendai-toy"
summary = "counts what passes by"
description = "A service of a test."
depends-common = true

[service]
name = "toy"
units = ["backendai-toy.service"]

[[payload]]
source = "postinst/services/toy/toy.toml"
target = "/usr/lib/backendai/toy/toy.toml"
""",
    f"{FOLDER}/recipe.toml": """\
service = "toy"

[[config]]
file = "toy.toml"
template = "toy/toy.toml"
""",
    f"{FOLDER}/toy.toml": 'manager = "{manager.url!toml}"\n',
    f"{FOLDER}/unit.service": """\
[Unit]
ConditionPathExists=/etc/backend.ai/toy.toml
PartOf=backendai.target

[Service]
User=backendai
ExecStart=/bin/sleep infinity

[Install]
WantedBy=backendai.target
""",
}


def build_toy(project: Path, out: Path) -> str:
    """Build the deb of the toy in a copy of the project; returns its name."""
    copy_with_toy(project, _NEW, ("builder", *DATA_FOLDERS))
    command = [sys.executable, "-m", "builder", "build", "toy", "--format", "deb", "--out"]
    own = {key: value for key, value in os.environ.items() if key.startswith("BUILDER_")}
    run([*command, os.fspath(out)], cwd=project, env={**own, "PYTHONPATH": os.fspath(project)})
    (built,) = out.glob("backendai-toy_*.deb")
    return built.name


def test_a_service_from_data_alone(
    engine: docker.DockerClient, images: Images, dist: Dist, tmp_path: Path
) -> None:
    out = tmp_path / "dist"
    name = build_toy(tmp_path / "project", out)
    needed = dist.names(PackageFormat.DEB, "backendai-common")
    setup = HostSetup(
        image=images.stores(Suite.TRIXIE),
        name="toy",
        mounts={dist.folder: MOUNT, out: "/toy"},
    )
    with Host(engine, setup) as host:
        refresh_lists(host)
        apt(host, "install", *(f"{MOUNT}/{file}" for file in needed))
        before = take_listing(host)
        apt(host, "install", f"/toy/{name}")
        assert host.read(_FILE) == 'manager = "http://127.0.0.1:8081"\n'
        assert host.run(["stat", "-c", "%U:%G %a", _FILE]).stdout == "root:backendai 640\n"
        assert host.run(["systemctl", "is-active", _UNIT]).stdout == "active\n"
        status = host.run(["backendai-ctl", "status"], check=False).stdout
        assert "toy" in status
        host.write(_FILE, 'manager = "http://10.0.0.1:8081" # the admin\n', mode=0o640)
        apt(host, "install", "--reinstall", f"/toy/{name}")
        assert "# the admin" in host.read(_FILE)
        apt(host, "purge", "backendai-toy")
        assert host.run(["systemctl", "is-active", _UNIT], check=False).stdout != "active\n"
        left = differences(before, take_listing(host))
        assert not [line for line in left if not line[2:].startswith(_SHARED)], left
        assert not [line for line in left if "toy" in line], left
