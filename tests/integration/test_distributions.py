"""What `builder resolve` says of every rpm distribution is what dnf and zypper say, too."""

from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.inspect import inspect_package
from builder.verify.hosts import Host, HostSetup
from builder.verify.provides import load_record, load_symbols, rpm_capabilities
from builder.verify.resolve import Offer, Resolution, resolve_packages
from tests.integration.dist import MOUNT, Dist
from tests.integration.dnf import make_repository
from tests.integration.images import Images
from tests.integration.steps import Steps
from tests.integration.stub import Release, make_stub_rpm

pytestmark = [pytest.mark.docker, pytest.mark.full]

_PACKAGES = (
    "backendai",
    "backendai-common",
    "backendai-runtime",
    "backendai-manager",
    "backendai-graphql",
    "backendai-storage-proxy",
    "backendai-webserver",
    "backendai-client",
    "backendai-agent",
    "backendai-appproxy-coordinator",
    "backendai-appproxy-worker",
    "backendai-halfstack",
)
_ZYPPER_FILE = """\
[packages-under-test]
baseurl=dir:///srv/repository
enabled=1
gpgcheck=0
"""
_TIMEOUT_S = 300


def test_resolution_is_that_of_the_distributions_package_manager(
    engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps, tmp_path: Path
) -> None:
    files = dist.names(PackageFormat.RPM, *_PACKAGES)
    ours = {release: _resolve(dist, files, release) for release in Release}
    # The table of the guide: packages whose CPython is compiled on Debian 12.
    assert {release for release in Release if not ours[release].ok} == {Release.EL8}
    setup = HostSetup(image=images.rpm(), name="distributions", mounts={dist.folder: MOUNT})
    with Host(engine, setup) as host:
        make_repository(host, files)
        for release in Release:
            with steps(release):
                status, said = _ask(host, release, tmp_path)
                assert (status == 0) == ours[release].ok, said
                for row in ours[release].unmet:
                    assert row.requirement in said


def _resolve(dist: Dist, files: list[str], release: Release) -> Resolution:
    record = load_record(release)
    offer = Offer(
        distribution=release,
        known_by="its record",
        capabilities=rpm_capabilities(record, load_symbols()),
        payloads=record.payloads,
    )
    packages = [inspect_package(dist.folder / name) for name in files]
    return resolve_packages(PackageFormat.RPM, packages, offer)


def _ask(host: Host, release: Release, scratch: Path) -> tuple[int, str]:
    """Let the package manager resolve in a root of its own, where only the stub is installed."""
    stub, root = make_stub_rpm(scratch, release), f"/srv/{release}"
    host.run(["mkdir", "-p", root])
    host.copy_in(stub, f"/srv/{stub.name}")
    host.run(["rpm", "--root", root, "--initdb"])
    host.run(["rpm", "--root", root, "--install", "--justdb", f"/srv/{stub.name}"])
    if release.startswith("leap"):
        host.run(["mkdir", "-p", f"{root}/etc/zypp/repos.d"])
        host.write(f"{root}/etc/zypp/repos.d/packages-under-test.repo", _ZYPPER_FILE)
        quiet = ["--root", root, "--non-interactive", "--no-gpg-checks"]
        words = ["zypper", *quiet, "install", "--dry-run", "--no-recommends", *_PACKAGES]
    else:
        options = [f"--installroot={root}", f"--releasever={release.version}", "--assumeyes"]
        options += ["--setopt=reposdir=/etc/yum.repos.d", "--setopt=install_weak_deps=False"]
        words = ["dnf", *options, "--setopt=tsflags=test", "install", *_PACKAGES]
    done = host.run(words, check=False, timeout=_TIMEOUT_S)
    return done.status, done.stdout + done.stderr
