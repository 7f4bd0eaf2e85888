"""An image that has a service: hosts made from it have secrets of their own, and the image none."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import pytest

from builder.base.model import PackageFormat
from builder.verify.engine import Mount
from builder.verify.hosts import Host, HostSetup
from tests.integration.dist import MOUNT, Dist
from tests.integration.images import Images, Suite

pytestmark = pytest.mark.docker

_PACKAGES = ("backendai-common", "backendai-storage-proxy")
_SECRETS = "/var/lib/backendai/secrets"
# As an image is built: no systemd runs. Its service has no stores, and would wait for them.
_INSTALL = f"""
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --yes --no-install-recommends "$@"
systemctl disable --quiet backendai-storage-proxy.service
test -z "$(find {_SECRETS} /etc/backend.ai -type f)"
"""


@contextmanager
def image_with(engine: docker.DockerClient, base: str, dist: Dist) -> Iterator[str]:
    """An image of ours, made from ``base`` as by a Dockerfile."""
    files = [f"{MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *_PACKAGES)]
    mount = Mount(MOUNT, str(dist.folder), type="bind", read_only=True)
    tag = f"first-boot-{secrets.token_hex(4)}"
    container = engine.containers.create(base, ["sh", "-c", _INSTALL, "sh", *files], mounts=[mount])
    try:
        container.start()
        status = container.wait()["StatusCode"]
        assert status == 0, container.logs(tail=40).decode(errors="replace")
        container.commit(repository="backendai-test", tag=tag)
    finally:
        container.remove(v=True, force=True)
    try:
        yield f"backendai-test:{tag}"
    finally:
        engine.images.remove(f"backendai-test:{tag}", force=True)


def booted(engine: docker.DockerClient, image: str, name: str) -> str:
    """The digests of the secrets that a host of the image makes at its first boot."""
    with Host(engine, HostSetup(image=image, name=name, volumes=())) as host:
        assert not host.failed_units()
        assert host.run("ls -A /var/lib/backendai/first-boot").stdout == ""
        host.run(["test", "-s", "/etc/backend.ai/storage-proxy.toml"])
        found = host.run(f"cd {_SECRETS} && sha256sum storage-proxy-secret").stdout
        if name == "clone":
            return found
        # What was made is not made again: the unit has nothing to do.
        host.run("systemctl start backendai-configure.service")
        assert host.run(f"cd {_SECRETS} && sha256sum storage-proxy-secret").stdout == found
        host.run("backendai-ctl prepare-clone --yes && systemctl start backendai-configure.service")
        assert host.run(f"cd {_SECRETS} && sha256sum storage-proxy-secret").stdout != found
        return found


def test_hosts_of_one_image_share_no_secret(
    engine: docker.DockerClient, images: Images, dist: Dist
) -> None:
    with image_with(engine, images.base(Suite.TRIXIE), dist) as image:
        assert booted(engine, image, "first") != booted(engine, image, "clone")
