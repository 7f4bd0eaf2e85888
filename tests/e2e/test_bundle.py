"""A host without network: from nothing to a session that runs, by one file; then an upgrade."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from builder.base.model import PackageFormat
from builder.base.paths import PROJECT
from builder.base.run import run
from builder.bundle.images import store_images
from builder.verify.engine import Client
from builder.verify.hosts import Host, HostError
from tests.e2e import kernel, stores
from tests.e2e.nodes import Kind, Node, open_host
from tests.e2e.repository import CHANNEL, NAME
from tests.e2e.single import ALL, packages
from tests.integration.dist import Dist
from tests.integration.images import Suite
from tests.integration.site import Site, make_key
from tests.integration.steps import Steps

pytestmark = [pytest.mark.docker, pytest.mark.full, pytest.mark.xdist_group("bundle")]

_MEDIUM = "/media/bundle"
_STATE = "/var/lib/backendai-bundle"
_INSTALL_TIMEOUT_S = 590
_READY_S = 500
_PART = "300MB"


@pytest.fixture
def site(tmp_path: Path, dist: Dist) -> Site:
    """A published repository of the packages under test."""
    root = tmp_path / "repository"
    fingerprint, key = make_key()
    key_file = tmp_path / "key.asc"
    key_file.touch(mode=0o600)
    key_file.write_text(key)
    url = "https://packages.example.org"
    made = Site(root=root, url=url, fingerprint=fingerprint, key_file=key_file)
    made.builder("init", "--base-url", url, "--key", fingerprint, "--name", NAME)
    debs = [
        str(path)
        for path in sorted(dist.folder.glob("*.deb"))
        if f"_{dist.version}-" in path.name and not path.name.startswith("backendai-archive")
    ]
    made.builder("add", "--channel", CHANNEL, "--no-manifest", *debs)
    made.publish()
    return made


def test_from_nothing_to_a_session_without_network(
    engine: Client, site: Site, tmp_path: Path, steps: Steps
) -> None:
    with steps("make the bundle"):
        made = bundle(
            site,
            tmp_path / "medium",
            *packages(Kind.TRIXIE),
            *("--with-dependencies", Suite.TRIXIE, "--split", _PART),
            *("--image", str(kernel.archive(engine))),
        )
    assert len(made["parts"]) > 1
    assert max(part["bytes"] for part in made["parts"]) == 300_000_000
    file = Path(made["file"]).name
    mounts = {tmp_path / "medium": _MEDIUM}
    with open_host(engine, Kind.TRIXIE, "bundle", tmp_path, stores=False, mounts=mounts) as node:
        cut_network(node.host)
        command = ["sh", f"{_MEDIUM}/{file}", "install", "--fingerprint", site.fingerprint]
        with steps("install"):
            node.host.run(command, timeout=_INSTALL_TIMEOUT_S)
        with steps("status says that all is up"):
            wait = ["backendai-ctl", "status", "--wait", str(_READY_S)]
            node.host.run(wait, timeout=_READY_S + 60)
            assert [service for service in ALL if node.state(service) != "active"] == []
        with steps("a session"):
            compute(node)
        assert not node.host.run(f"ls {_STATE}/*/images", check=False).stdout
        with steps("the same bundle again"):
            again = node.host.run(command, timeout=_INSTALL_TIMEOUT_S).stdout
        assert "0 upgraded, 0 newly installed" in again
        node.host.run(["sh", f"{_STATE}/{made['bundle']}/bundle", "remove"])
        assert node.host.run(f"ls {_STATE} /etc/apt/sources.list.d", check=False).stdout == (
            "/etc/apt/sources.list.d:\n"
        )
        assert node.state("manager") == "active"


def test_the_stores_come_with_the_bundle(
    engine: Client, site: Site, tmp_path: Path, steps: Steps
) -> None:
    wanted = ("backendai-halfstack", "backendai-manager")
    with steps("make the bundle"), stores.images(engine, tmp_path):
        options = ("--with-dependencies", Suite.TRIXIE, "--store-images")
        made = bundle(site, tmp_path / "medium", *wanted, *options)
    mounts = {tmp_path / "medium": _MEDIUM}
    with open_host(engine, Kind.TRIXIE, "stores", tmp_path, stores=False, mounts=mounts) as node:
        cut_network(node.host)
        command = ["sh", f"{_MEDIUM}/{Path(made['file']).name}", "install"]
        with steps("install"):
            fingerprint = ["--fingerprint", site.fingerprint]
            node.host.run([*command, *fingerprint], timeout=_INSTALL_TIMEOUT_S)
        with steps("the stores run, are filled, and the manager answers"):
            node.wait_for("halfstack", "manager")
        running = node.host.run(["docker", "ps", "--format", "{{.Image}}"]).stdout.split()
        assert sorted(running) == sorted(store_images())
        filled = node.host.run(["backendai-ctl", "seed", "status"]).stdout
    assert filled.startswith("filled at ")


def bundle(site: Site, out: Path, *words: str) -> dict[str, Any]:
    """Make a bundle of debs as a release engineer does; returns what it reports."""
    own = {"BUILDER_SIGNING_KEY_FILE": str(site.key_file)}
    given = {name: text for name, text in os.environ.items() if name.startswith("BUILDER_")}
    options = ["--root", str(site.root), "--out", str(out), "--format", PackageFormat.DEB]
    command = [sys.executable, "-m", "builder", "--quiet", "bundle", *words, *options, "--json"]
    made: dict[str, Any] = json.loads(run(command, cwd=PROJECT, env={**given, **own}).stdout)
    return made


def cut_network(host: Host) -> None:
    """Take the interface down and forget apt's lists; the host has loopback and nothing else."""
    host.run(["ip", "link", "set", "eth0", "down"])
    assert not host.run("ip route", check=False).stdout
    host.run("rm -rf /var/lib/apt/lists/* /etc/apt/sources.list")


def compute(node: Node) -> None:
    """A session of the image that the bundle brought computes."""
    assert kernel.is_loaded(node)
    kernel.name_registry(node)
    login = node.login()
    options = ["--name", "offline", "--max-wait", "90", "-r", "cpu=1", "-r", "mem=256m"]
    try:
        node.client(login, "session", "create", *options, kernel.IMAGE, timeout=150)
    except HostError as error:
        error.add_note(kernel.why_it_ended(node, "offline"))
        raise
    words = ["-q", "-t", "offline", "-c", "print(6 * 7)", kernel.IMAGE]
    assert "42" in node.client(login, "run", *words, timeout=120)
    node.client(login, "session", "destroy", "offline")
