"""The packages under test as a signed repository, served to hosts on the engine's network."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from builder.base.model import PackageFormat
from builder.repo.model import PUBLIC
from builder.repo.serve import open_server
from builder.verify.engine import Client
from builder.verify.hosts import Host
from tests.integration.dist import Dist
from tests.integration.site import Site, make_key

NAME = "backendai"
CHANNEL = "stable"
_HELPER = "/usr/lib/apt/apt-helper"


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A published repository, and where hosts find it.

    It has the packages under test in the formats of the hosts that were set up: what a worker's
    hosts do not ask for is neither read nor signed by it.
    """

    site: Site
    waiting: dict[PackageFormat, list[Path]]

    @property
    def url(self) -> str:
        """Its address."""
        return self.site.url

    def add(self, *paths: Path) -> None:
        """Take packages in and show them to readers."""
        self.site.builder("add", "--channel", CHANNEL, "--no-manifest", *map(str, paths))
        self.site.publish()

    def set_up_apt(self, host: Host) -> None:
        """Give the host the key and the source, as the repository's page says."""
        self._have(PackageFormat.DEB)
        address = self.url.partition("://")[2].partition(":")[0]
        direct = f'Acquire::http::Proxy::{address} "DIRECT";\n'
        host.write("/etc/apt/apt.conf.d/95local", direct)
        keyring = f"/usr/share/keyrings/{NAME}-archive-keyring.gpg"
        sources = f"/etc/apt/sources.list.d/{NAME}.sources"
        host.run(f"{_HELPER} download-file {self.url}/keys/{NAME}.gpg {keyring}")
        host.run(f"{_HELPER} download-file {self.url}/setup/{CHANNEL}.sources {sources}")

    def set_up_dnf(self, host: Host) -> None:
        """The same for dnf."""
        self._set_up_rpm(host, "/etc/yum.repos.d")

    def set_up_zypper(self, host: Host) -> None:
        """The same for zypper."""
        self._set_up_rpm(host, "/etc/zypp/repos.d")

    def _have(self, kind: PackageFormat) -> None:
        """Have the packages under test in this format."""
        if files := self.waiting.pop(kind, []):
            self.add(*files)

    def _set_up_rpm(self, host: Host, folder: str) -> None:
        self._have(PackageFormat.RPM)
        key = f"/etc/pki/rpm-gpg/RPM-GPG-KEY-{NAME}"
        host.run(["mkdir", "-p", "/etc/pki/rpm-gpg", folder])
        host.run(f"{_HELPER} download-file {self.url}/keys/{NAME}.asc {key}")
        host.run(f"{_HELPER} download-file {self.url}/setup/{CHANNEL}.repo {folder}/{NAME}.repo")


@contextmanager
def open_repository(client: Client, folder: Path, dist: Dist) -> Iterator[Repository]:
    """A repository of the version under test, served for as long as the block runs."""
    public = folder / "repository" / PUBLIC
    public.mkdir(parents=True)
    with open_server(public, host=_gateway(client)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            fingerprint, key = make_key()
            key_file = folder / "key.asc"
            key_file.touch(mode=0o600)
            key_file.write_text(key)
            root = folder / "repository"
            site = Site(root=root, url=server.url, fingerprint=fingerprint, key_file=key_file)
            site.builder("init", "--base-url", server.url, "--key", fingerprint, "--name", NAME)
            yield Repository(site=site, waiting=_files(dist))
        finally:
            server.shutdown()
            thread.join()


def _files(dist: Dist) -> dict[PackageFormat, list[Path]]:
    found: dict[PackageFormat, list[Path]] = {}
    for kind in PackageFormat:
        paths = sorted(dist.folder.glob(f"*.{kind}"))
        found[kind] = [path for path in paths if f"{dist.version}-" in path.name]
    assert all(found.values()), f"not both formats of {dist.version} in {dist.folder}"
    return found


def _gateway(client: Client) -> str:
    """This machine's address on the network of the engine's containers."""
    config = client.networks.get("bridge").attrs["IPAM"]["Config"][0]
    # Not every engine reports the former; it is then the network's first address.
    return str(config.get("Gateway") or next(ip_network(config["Subnet"]).hosts()))
