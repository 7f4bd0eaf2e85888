"""A site's plug-ins on a real host: loaded, disabled, kept by an upgrade of theirs, removed."""

import re
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from builder.base.errors import ExitCode
from builder.verify.hosts import Host
from tests.helpers.plugins import HOOK, PAGES, write_site
from tests.integration.clones import node_setup, start_clone
from tests.integration.dist import Dist
from tests.integration.images import Images
from tests.integration.pluginhosts import (
    LOAD_TIMEOUT_S,
    call_builder,
    count,
    listed,
    starts,
    wait_for,
)
from tests.integration.steps import Steps

pytestmark = [pytest.mark.docker, pytest.mark.build]

_HOSTS = ("manager", "storage-proxy")
_PLUGINS = "/plugins"
_INSTALL_TIMEOUT_S = 580
_CONFIG = "/etc/backend.ai/manager.toml"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages of the plug-ins, locked and built from the site's folder."""
    folder = tmp_path_factory.mktemp("plugins")
    site = write_site(folder / "site")
    call_builder(site, "lock")
    call_builder(site, "build", HOOK, PAGES, "--format", "deb", "--out", str(folder / "dist"))
    return folder / "dist"


def test_a_plug_in_that_would_change_its_host_is_refused(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", requires=["aiohttp<3.14"])
    done = call_builder(site, "lock", check=False)
    assert done.status == ExitCode.LOCK
    assert f"{HOOK} does not fit backendai-manager on amd64" in done.stderr
    assert re.search(r"aiohttp: 3\.\d+\.\d+ there, 3\.13\.\d+ here", done.stderr)
    assert not (site / "locks").exists()


@pytest.fixture
def host(engine: docker.DockerClient, images: Images, dist: Dist, built: Path) -> Iterator[Host]:
    """An installed node, and the plug-ins beside it."""
    setup = node_setup(images, dist, "plugins", mounts={built: _PLUGINS})
    with Host(engine, setup) as opened:
        yield opened


def apt(host: Host, *words: str) -> None:
    """Call apt-get without questions."""
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes"]
    host.run([*command, "--no-install-recommends", *words], timeout=_INSTALL_TIMEOUT_S)


def files(host: Host, *names: str) -> list[str]:
    """The files of these packages, as the host finds them."""
    return host.run(f"ls {' '.join(f'{_PLUGINS}/{name}_*.deb' for name in names)}").stdout.split()


def load_both(host: Host, steps: Steps) -> None:
    """Start the hosts, install a plug-in of each, and see it loaded by its host alone."""
    with steps("the hosts"):
        start_clone(host, services=_HOSTS)
    before = {service: starts(host, service) for service in _HOSTS}
    config = host.read(_CONFIG)
    with steps("the manager's plug-in"):
        apt(host, "install", *files(host, HOOK))
        wait_for(host, "manager", "toy_hook 1.0 is loaded")
    # Only its host was restarted, once; no list was made that would keep other plug-ins out.
    assert starts(host, "manager") == before["manager"] + 1
    assert starts(host, "storage-proxy") == before["storage-proxy"]
    assert host.read(_CONFIG) == config
    with steps("the storage proxy's plug-in"):
        apt(host, "install", *files(host, PAGES))
        wait_for(host, "storage-proxy", "toy_pages 1.0 is loaded")
    assert starts(host, "manager") == before["manager"] + 1
    found = listed(host)
    assert {name: (row["service"], row["state"]) for name, row in found.items()} == {
        "toy-hook": ("manager", "enabled"),
        "toy-pages": ("storage-proxy", "enabled"),
    }


def test_plugins_are_loaded_by_their_hosts(host: Host, steps: Steps) -> None:
    load_both(host, steps)


@pytest.mark.full  # at every change test_addons.py disables and removes what hosts have loaded
def test_plugins_are_disabled_and_removed(host: Host, steps: Steps) -> None:
    load_both(host, steps)
    with steps("disable and enable"):
        host.run(["backendai-ctl", "addon", "disable", "toy-hook"], timeout=300)
        # Behind what the manager's recipe keeps out.
        overlay = "ai.backend.manager.network.overlay"
        assert f'disabled-plugins = ["{overlay}", "toy_hook"]' in host.read(_CONFIG)
        assert listed(host)["toy-hook"]["state"] == "disabled"
        seen = count(host, "manager", "toy_hook 1.0 is loaded")
        host.run(["backendai-ctl", "addon", "enable", "toy-hook"], timeout=300)
        wait_for(host, "manager", "toy_hook 1.0 is loaded", seen)
        assert listed(host)["toy-hook"]["state"] == "enabled"
        refused = host.run(["backendai-ctl", "addon", "disable", "toy-pages"], check=False)
        assert refused.status
        assert "storage-proxy has no list of plug-ins" in refused.stderr

    with steps("remove"):
        again = starts(host, "storage-proxy")
        apt(host, "purge", PAGES)
        assert set(listed(host)) == {"toy-hook"}
        host.wait_until(
            "the storage proxy is restarted",
            lambda: starts(host, "storage-proxy") == again + 1,
            timeout=LOAD_TIMEOUT_S,
        )
        assert not host.run("find /opt/backendai -name 'toy_pages*'").stdout
    assert host.run(["systemctl", "is-active", "backendai-manager"]).stdout == "active\n"
