"""A node that was installed once, and is cloned for every test that needs one.

An image of Debian 13's stores and of our services, installed and filled as an operator does it,
then stopped. Its tag carries the hash of the packages and of the stores' image, so another build
gets another image. On a clone nothing runs until ``start_clone``: a test can change answers first.
The first test that needs one makes it, or ``python -m tests.integration.clones`` while none waits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from builder.base import log
from builder.base.cache import key_of
from builder.base.files import hash_file
from builder.base.model import PackageFormat
from builder.verify.engine import connect
from builder.verify.hosts import Host, HostSetup
from tests.integration import guide
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import MOUNT, Dist, tested
from tests.integration.images import REPOSITORY, Images, Suite
from tests.integration.stores import start_stores

Words = Sequence[str]
SERVICES = ("manager", "storage-proxy", "webserver")
PACKAGES = ("backendai-common", *(f"backendai-{service}" for service in SERVICES))
# The node's entry in etcd has its name: a clone is that node.
_HOSTNAME = "node"
_PREFIX = "node-"
# Raise it when code below changes what the image holds.
_RECIPE = 1
# Two builds may be under test at the same time.
_KEPT = 2
_UNITS = ("backendai.target", *(f"backendai-{service}.service" for service in SERVICES))
_TIMERS = ("backendai-image-rescan-retry.timer", "backendai-seed-retry.timer")
_START_TIMEOUT_S = 300


def node_setup(
    images: Images, dist: Dist, name: str, mounts: Mapping[Path, str] | None = None, **more: Words
) -> HostSetup:
    """The set-up of a clone, whose image is made where it is missing; it finds dist at MOUNT.

    ``more`` are volumes, capabilities and devices as a HostSetup has them.
    """
    setup = HostSetup(
        image=have_node(images, dist),
        name=name,
        hostname=_HOSTNAME,
        mounts={dist.folder: MOUNT, **(mounts or {})},
        volumes=(),  # one of /opt would hide what is installed
    )
    return replace(setup, **more)  # type: ignore[arg-type]


def have_node(images: Images, dist: Dist) -> str:
    """The image of an installed node: manager, storage proxy and webserver on filled stores."""
    parent = images.stores(Suite.TRIXIE)
    names = dist.names(PackageFormat.DEB, *PACKAGES)
    hashes = [hash_file(dist.folder / name) for name in names]
    tag = f"{_PREFIX}{key_of(parent, names, hashes, _RECIPE)[:12]}"
    with images.missing(tag, alias=_HOSTNAME) as missing:
        if missing:
            with images.layer(parent, _HOSTNAME, tag, {dist.folder: MOUNT}) as host:
                _install(host, [f"{MOUNT}/{name}" for name in names])
            images.remove_former(_PREFIX, _KEPT)
    return f"{REPOSITORY}:{tag}"


def start_clone(host: Host, services: Sequence[str] = SERVICES) -> None:
    """Start the stores of a clone, then these services, and wait until each answers."""
    refresh_lists(host)
    start_stores(host, Suite.TRIXIE)
    host.run(["systemctl", "enable", *_UNITS])
    if services:
        units = [f"backendai-{service}.service" for service in services]
        host.run(["systemctl", "start", *units], timeout=_START_TIMEOUT_S)
        guide.wait_until_up(host, services)


def _install(host: Host, files: Sequence[str]) -> None:
    """Install, wait until all is filled and answers, and stop everything."""
    refresh_lists(host)
    start_stores(host, Suite.TRIXIE)
    apt(host, "install", *files)
    guide.wait_until_filled(host)
    guide.wait_until_up(host, SERVICES)
    host.run(["systemctl", "stop", *_TIMERS, *reversed(_UNITS)], timeout=_START_TIMEOUT_S)
    host.run(["systemctl", "disable", *_UNITS])
    units = Suite.TRIXIE.store_units
    host.run(["systemctl", "disable", "--now", *units], timeout=_START_TIMEOUT_S)


def main() -> None:
    """Make the image of the packages under test."""
    log.configure(0)
    log.step(have_node(Images(connect()), tested()))


if __name__ == "__main__":
    main()
