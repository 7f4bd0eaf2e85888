"""Debian's own judge of installation, removal and purge, in a chroot without systemd."""

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.base.run import run
from tests.integration.dist import Dist
from tests.integration.images import Images, Suite
from tests.integration.steps import Steps

# At every change test_deb.py purges what it has installed, and compares the host itself.
pytestmark = [pytest.mark.docker, pytest.mark.full]

_TIMEOUT_S = 540
# What Debian's own packages, which some of ours depend on, change in the chroot.
_OF_OTHERS = ("/usr/lib/dbus-1.0/dbus-daemon-launch-helper",)
_GROUPS = {
    "services": ("manager", "graphql", "storage-proxy", "webserver", "client"),
    "agent-and-proxy": ("agent", "appproxy-coordinator", "appproxy-worker"),
}


@pytest.fixture(scope="module")
def chroot(
    engine: docker.DockerClient, images: Images, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A clean Debian 12 as piuparts wants it: a compressed archive."""
    path = tmp_path_factory.mktemp("piuparts") / "bookworm.tar.gz"
    container = engine.containers.create(images.base(Suite.BOOKWORM), "true")
    try:
        with gzip.open(path, "wb", compresslevel=1) as stream:
            stream.writelines(container.export())
    finally:
        container.remove()
    yield path
    path.unlink()


@pytest.mark.parametrize("group", _GROUPS)
def test_piuparts(group: str, chroot: Path, dist: Dist, steps: Steps, tmp_path: Path) -> None:
    """Installed with nothing that answers, removed, purged: the host is as it was."""
    if shutil.which("piuparts") is None:
        pytest.skip("piuparts is not installed: apt-get install piuparts")
    packages = ("backendai-common", *(f"backendai-{name}" for name in _GROUPS[group]))
    options = [
        f"--basetgz={chroot}",
        f"--distribution={Suite.BOOKWORM}",
        f"--tmpdir={tmp_path}",
        "--no-eatmydata",
        *(f"--ignore={path}" for path in _OF_OTHERS),
    ]
    files = [str(dist.folder / name) for name in dist.names(PackageFormat.DEB, *packages)]
    with steps("piuparts"):
        command = ["timeout", "--kill-after=20", str(_TIMEOUT_S), "piuparts", *options, *files]
        result = run(command, check=False)
    lines = [
        line for line in (result.stdout + result.stderr).splitlines() if "/usr merge" not in line
    ]
    assert result.status == 0, "\n".join(lines[-80:])
