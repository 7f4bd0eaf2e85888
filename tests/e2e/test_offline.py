"""A site without network: a mirror of all inputs, a build by it, an installation by a disk."""

import os
import sys
from itertools import chain
from pathlib import Path

import pytest

from builder.base.model import PackageFormat
from builder.base.paths import PROJECT
from builder.base.run import Result, find_tool, run
from builder.repo.model import PUBLIC
from builder.verify.engine import Client
from builder.verify.hosts import Host
from tests.e2e.nodes import SERVICES, VOLUME_HOST, Kind, Node, open_host
from tests.e2e.repository import CHANNEL, NAME
from tests.integration.apt import apt
from tests.integration.site import Site, make_key
from tests.integration.steps import Steps

pytestmark = [pytest.mark.docker, pytest.mark.full, pytest.mark.xdist_group("offline")]

_PACKAGES = ("runtime", "common", *SERVICES, "client", "backendai")
_DISK = "/media/packages"
_ONLY = "/etc/apt/sources.list.d/backendai.sources"
_LIMIT = (f"Dir::Etc::sourcelist={_ONLY}", "Dir::Etc::sourceparts=-", "APT::Get::List-Cleanup=0")
_FOLDER, _FILE, _TEXT = "offline", "note.txt", "no network\n"


@pytest.fixture
def built(tmp_path: Path, steps: Steps) -> Path:
    """What a build makes that has no network and an empty cache, but a mirror."""
    mirror, folder = tmp_path / "mirror", tmp_path / "offline"
    with steps("a mirror of all inputs"):
        build("fetch", "--mirror", str(mirror))
    cut = [str(find_tool("unshare", hint="it is in util-linux")), "--net"]
    # The address book of interfaces is the kernel's own word for what is there.
    interfaces = run([*cut, "cat", "/proc/self/net/dev"]).stdout.splitlines()[2:]
    assert [line.partition(":")[0].strip() for line in interfaces] == ["lo"]
    with steps("a build without network"):
        own = {"BUILDER_MIRROR": str(mirror), "BUILDER_CACHE": str(tmp_path / "empty")}
        words = ["--format", PackageFormat.DEB, "--out", str(folder)]
        build("build", *_PACKAGES, *words, before=cut, own=own)
    return folder


def test_a_site_without_network_builds_and_installs(
    engine: Client, built: Path, tmp_path: Path, steps: Steps
) -> None:
    with steps("the same build with network"):
        online = tmp_path / "online"
        build("build", *_PACKAGES, "--format", PackageFormat.DEB, "--out", str(online))
    debs = sorted(path.name for path in online.glob("*.deb"))
    assert debs == sorted(path.name for path in built.glob("*.deb"))
    assert len(debs) == len(_PACKAGES)
    differing = [
        name for name in debs if (built / name).read_bytes() != (online / name).read_bytes()
    ]
    assert not differing, "not byte for byte what the build with network made"

    public = publish(tmp_path, [built / name for name in debs])
    mounts = {public: _DISK}
    with open_host(engine, Kind.TRIXIE, "offline", tmp_path, mounts=mounts) as node:
        cut_network(node.host)
        with steps("install from a disk"):
            set_up_apt(node.host)
            node.install("backendai")
            node.wait_for(*SERVICES)
        with steps("use"):
            use(node)


def build(
    *words: str, before: list[str] | None = None, own: dict[str, str] | None = None
) -> Result:
    """Call builder as a release engineer does, with ``before`` in front of it."""
    given = {name: text for name, text in os.environ.items() if name.startswith("BUILDER_")}
    command = [*(before or []), sys.executable, "-m", "builder", "--quiet", *words]
    return run(command, cwd=PROJECT, env={**given, **(own or {})})


def publish(folder: Path, files: list[Path]) -> Path:
    """The published tree of a repository, to be carried on a disk."""
    root = folder / "repository"
    fingerprint, key = make_key()
    key_file = folder / "key.asc"
    key_file.touch(mode=0o600)
    key_file.write_text(key)
    url = "https://packages.example.org"
    site = Site(root=root, url=url, fingerprint=fingerprint, key_file=key_file)
    site.builder("init", "--base-url", url, "--key", fingerprint, "--name", NAME)
    site.builder("add", "--channel", CHANNEL, "--no-manifest", *map(str, files))
    site.publish()
    return root / PUBLIC


def cut_network(host: Host) -> None:
    """Take the host's interface down, as a pulled cable does; loopback stays."""
    host.run(["ip", "link", "set", "eth0", "down"])
    up = host.run("ip -o link show up | grep -v ' lo: '", check=False).stdout
    assert not up


def set_up_apt(host: Host) -> None:
    """Name the disk in place of the repository's address, as its guide says."""
    keyring = f"/usr/share/keyrings/{NAME}-archive-keyring.gpg"
    host.run(["cp", f"{_DISK}/keys/{NAME}.gpg", keyring])
    host.run(f"sed 's|^URIs: .*|URIs: file://{_DISK}/|' {_DISK}/setup/{CHANNEL}.sources >{_ONLY}")
    apt(host, "update", *chain.from_iterable(("-o", option) for option in _LIMIT))


def use(node: Node) -> None:
    """A file goes in and comes out."""
    login = node.login()
    node.client(login, "vfolder", "create", _FOLDER, VOLUME_HOST)
    node.host.write(f"/srv/user/{_FILE}", _TEXT)
    node.client(login, "vfolder", "upload", _FOLDER, _FILE)
    node.client(login, "vfolder", "download", _FOLDER, _FILE, cwd="/srv/user/back")
    assert node.host.read(f"/srv/user/back/{_FILE}") == _TEXT
