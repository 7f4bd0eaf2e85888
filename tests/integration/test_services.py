"""Every service of a node on one host: installed together, filled, used, removed."""

import json
from pathlib import Path
from typing import Any

import docker
import pytest

from builder.base.model import PackageFormat
from builder.base.paths import PROJECT
from builder.verify.hosts import Host, HostError, HostSetup
from builder.verify.listing import take_listing
from tests.integration import checks, guide
from tests.integration.apt import apt, refresh_lists
from tests.integration.clones import node_setup, start_clone
from tests.integration.dist import Dist
from tests.integration.dnf import become_distribution, dnf, make_repository
from tests.integration.images import Images, Suite
from tests.integration.steps import Steps
from tests.integration.stores import run_sql, start_stores

pytestmark = pytest.mark.docker

_MOUNT = "/dist"
_COMMON = "backendai-common"
_SERVICES = ("manager", "storage-proxy", "webserver")
_CONFIG = ("site.toml", "manager.toml", "alembic.ini", "storage-proxy.toml", "webserver.conf")
_VOLUME = "/srv/backendai/volume1"
_WEB = "http://127.0.0.1:8090"
_CLIENT = PROJECT / "tests/integration/data/use_webserver.py"
_HOLD = PROJECT / "tests/integration/data/hold_port.py"
_DOCKER_DROP_IN = "/etc/systemd/system/docker.service.d/container.conf"
_START_TIMEOUT_S = 200
_WATCHER_PORT = 6009
# What may listen on every address: users come there.
_PUBLIC_PORTS = {6021, 8081, 8090}


@pytest.mark.full  # the single nodes of the end-to-end cases are logged into and have these
def test_manager_storage_proxy_and_webserver(
    engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps
) -> None:
    with Host(engine, HostSetup(image=images.stores(Suite.TRIXIE), name="without")) as host:
        before = take_listing(host)
    with Host(engine, node_setup(images, dist, "services")) as host:
        with steps("start"):
            start_clone(host)
        with steps("check what was installed"):
            check_installed(host)
        with steps("use"):
            use(host, dist.version)
        check_listeners(host)
        problems = checks.check_settings(host, _CONFIG) + checks.check_secrets(host)
        problems += checks.check_world_writable(before, take_listing(host))
        problems += [f"{unit}: failed" for unit in host.failed_units()]
        assert not problems, "\n".join(problems)
        with steps("remove one by one"):
            remove_in_turn(host)


@pytest.mark.full  # a single node of the end-to-end cases has the agent and Docker as well
def test_agent_with_docker(
    engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps
) -> None:
    """An agent and a Docker on one host: it registers, and shows what the node has."""
    services = ("manager", "agent")
    packages = (_COMMON, "backendai-client", *(f"backendai-{service}" for service in services))
    files = [f"{_MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *packages)]
    setup = HostSetup(
        image=images.stores(Suite.TRIXIE),
        name="agent",
        mounts={dist.folder: _MOUNT},
        # Docker's layers need a file system of the disk's own.
        volumes=("/opt", "/var/lib/docker", "/var/lib/containerd"),
        # Containers for sessions ask for both.
        capabilities=("IPC_LOCK", "SYS_NICE"),
    )
    with Host(engine, setup) as host:
        refresh_lists(host)
        with steps("stores"):
            start_stores(host, Suite.TRIXIE)
        # Without it, Docker refuses networks where the kernel has IPv6 and the host has not.
        host.run(["mkdir", "-p", _DOCKER_DROP_IN.rpartition("/")[0]])
        host.write(
            _DOCKER_DROP_IN, "[Service]\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\n"
        )
        with steps("install, with the distribution's Docker"):
            apt(host, "install", *files)
        assert host.run(["docker", "version", "--format", "{{.Server.Version}}"]).stdout.strip()
        assert state(host, "is-enabled", "agent") == "enabled"
        assert state(host, "is-enabled", "agent-watcher") == "disabled"
        problems = checks.check_settings(host, ("site.toml", "agent.toml"))
        assert not problems, "\n".join(problems)
        with steps("start by itself"):
            wait_for_services(host, services)
        with steps("register"):
            host.wait_until("the agent is ALIVE", lambda: "ALIVE" in list_agents(host), timeout=60)
        # It registers as well where what its containers need could not be unpacked.
        runner = "/var/lib/docker/volumes/backendai-krunner.*/_data"
        host.run(f"test -s {runner}/VERSION && test -d {runner}/bin")
        for folder in ("/etc/backend.ai", "/srv/backendai"):
            assert host.run(["stat", "-c", "%U", folder]).stdout == "root\n"
        assert host.run(["stat", "-c", "%a", "/srv/backendai"]).stdout == "755\n"
        with steps("start and stop the watcher"):
            check_watcher(host)
        with steps("remove"):
            apt(host, "purge", "backendai-agent")
        assert state(host, "is-active", "manager") == "active"
        assert not host.failed_units()


@pytest.mark.full  # both single nodes of the end-to-end cases have the app proxy
def test_app_proxy(engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps) -> None:
    """Coordinator and worker, without a manager: the worker joins by the shared secrets."""
    services = ("appproxy-coordinator", "appproxy-worker")
    packages = (_COMMON, *(f"backendai-{service}" for service in services))
    files = [f"{_MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *packages)]
    setup = HostSetup(
        image=images.stores(Suite.TRIXIE), name="app-proxy", mounts={dist.folder: _MOUNT}
    )
    with Host(engine, setup) as host:
        refresh_lists(host)
        with steps("stores"):
            start_stores(host, Suite.TRIXIE)
        with steps("install"):
            apt(host, "install", *files)
        with steps("start by itself"):
            wait_for_services(host, services)
        check_worker(host)
        with steps("start while an outgoing connection has a port"):
            check_taken_port(host)
        with steps("remove"):
            apt(host, "purge", *(f"backendai-{service}" for service in services), _COMMON)
        assert not host.run("ls /var/lib/backendai/secrets", check=False).stdout


@pytest.mark.full  # the node of rpms of the end-to-end cases has the app proxy
def test_app_proxy_by_dnf(
    engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps, tmp_path: Path
) -> None:
    """The same from the rpms."""
    services = ("appproxy-coordinator", "appproxy-worker")
    packages = [f"backendai-{service}" for service in services]
    files = dist.names(PackageFormat.RPM, _COMMON, *packages)
    setup = HostSetup(image=images.rpm(), name="app-proxy-rpm", mounts={dist.folder: _MOUNT})
    with Host(engine, setup) as host:
        become_distribution(host, files, tmp_path)
        make_repository(host, files)
        start_stores(host, Suite.TRIXIE)
        with steps("install"):
            dnf(host, "install", *packages)
        with steps("start by itself"):
            wait_for_services(host, services)
        check_worker(host)
        with steps("remove one"):
            dnf(host, "remove", "--noautoremove", packages[0])
        assert state(host, "is-active", services[1]) == "active"


def check_worker(host: Host) -> None:
    """The worker has joined the coordinator."""
    workers = "SELECT authority, status FROM workers"
    host.wait_until(
        "the worker has joined",
        lambda: run_sql(host, workers, database="appproxy") == "worker-1|ALIVE\n",
        timeout=30,
    )
    assert not host.failed_units()


def check_taken_port(host: Host) -> None:
    """In an edited file, a port that a connection has: the worker says so, and starts later."""
    config, port = "/etc/backend.ai/app-proxy-worker.toml", 49610
    doctor = ["backendai-ctl", "doctor", "--only", "port"]
    host.run(doctor)
    host.run(
        ["sed", "-i", f"s/^aiomonitor_webui_port = .*/aiomonitor_webui_port = {port}/", config]
    )
    host.copy_in(_HOLD, "/root/hold_port.py")
    holds = ["/opt/backendai/runtime/bin/python3", "/root/hold_port.py", str(port)]
    host.run(["systemd-run", "--unit=holder", *holds, "127.0.0.1", "5432"])
    taken = f":{port} "
    host.wait_until("the port is taken", lambda: taken in host.run("ss -tan").stdout, timeout=10)
    host.run(["systemctl", "restart", "backendai-appproxy-worker"], check=False)
    said = host.run(["journalctl", "-u", "backendai-appproxy-worker", "-n", "20"]).stdout
    assert f"aiomonitor_webui_port = 0.0.0.0:{port}: cannot listen there" in said
    found = host.run(doctor, check=False).stdout
    assert f"ip_local_reserved_ports = {port} >" in found
    host.run(["systemctl", "stop", "holder"])
    wait_for_services(host, ("appproxy-worker",))
    check_worker(host)
    # Of this host's network alone.
    reserve = f"net.ipv4.ip_local_reserved_ports={port}"
    host.run(f"mount -o remount,rw /proc/sys && sysctl -w {reserve}")
    host.run(doctor)


def list_agents(host: Host) -> str:
    """What an administrator sees by the client's commands, as anybody on the host."""
    admin = guide.read_account(host)
    env = {
        "HOME": "/tmp",
        "BACKEND_ENDPOINT": guide.ADDRESS,
        "BACKEND_ENDPOINT_TYPE": "api",
        "BACKEND_ACCESS_KEY": admin["access_key"],
        "BACKEND_SECRET_KEY": admin["secret_key"],
    }
    command = ["backend.ai", "admin", "agent", "list"]
    return host.run(command, user="nobody", env=env, check=False).stdout


def check_installed(host: Host) -> None:
    """All is configured and enabled, and comes up by itself."""
    problems = checks.check_settings(host, _CONFIG)
    for service in _SERVICES[1:]:  # the manager's has a test of its own
        problems += checks.check_python(host, service)
    assert not problems, "\n".join(problems)
    enabled = {service: state(host, "is-enabled", service) for service in _SERVICES}
    assert enabled == dict.fromkeys(_SERVICES, "enabled")
    wait_for_services(host, _SERVICES)
    assert host.run(["stat", "-c", "%U:%G %a", _VOLUME]).stdout == "backendai:backendai 750\n"


def state(host: Host, question: str, service: str) -> str:
    """What systemd says of the unit of ``service``."""
    command = ["systemctl", question, f"backendai-{service}.service"]
    return host.run(command, check=False).stdout.strip()


def check_watcher(host: Host) -> None:
    """It answers, and is stopped before systemd would kill it."""
    unit = "backendai-agent-watcher.service"
    host.run(["systemctl", "start", unit])
    guide.wait_for_port(host, _WATCHER_PORT, timeout=_START_TIMEOUT_S)
    host.run(["systemctl", "stop", unit])
    assert host.run(["systemctl", "show", "-P", "Result", unit]).stdout == "success\n"


def wait_for_services(host: Host, services: tuple[str, ...]) -> None:
    """Wait until each is up: those that came before their stores were filled are started then."""
    for service in services:

        def is_active(service: str = service) -> bool:
            return state(host, "is-active", service) == "active"

        try:
            host.wait_until(f"{service} is active", is_active, timeout=_START_TIMEOUT_S)
        except HostError as error:
            raise HostError(f"{error.message}\n{host.journal(lines=80)}") from error


def use(host: Host, version: str) -> None:
    """Log in by the webserver, see the volume by the manager, make a folder on it."""
    admin = guide.read_account(host)
    given = {"url": _WEB, "username": admin["email"], "password": admin["password"]}
    host.copy_in(_CLIENT, "/root/use_webserver.py")
    host.write("/root/login.json", json.dumps(given), mode=0o600)
    script = f"{guide.PREFIX}/bin/python3 -I /root/use_webserver.py </root/login.json"
    found: dict[str, Any] = {}

    def answers() -> bool:
        # The manager's port answers a moment before it can reject a wrong password.
        found.update(json.loads(host.run(script).stdout))
        return "authenticated" in found["wrong"]["body"]

    host.wait_until("the webserver answers to a login", answers, timeout=30)
    assert found["page"]["status"] == 200
    assert "<title>" in found["page"]["body"]
    assert found["wrong"]["body"].get("authenticated") is False, found
    assert found["login"]["body"].get("authenticated") is True, found
    hosts = found["hosts"]["body"]
    assert hosts["default"] == "local:volume1", hosts
    # Only the storage proxy knows this.
    assert hosts["volume_info"]["local:volume1"]["backend"] == "vfs", hosts
    assert found["folder"]["status"] in {200, 201}, found["folder"]
    made = host.run(["find", _VOLUME, "-mindepth", "3", "-maxdepth", "3", "-printf", "%U:%G\\n"])
    assert made.stdout == "1100:1100\n", host.run(["find", _VOLUME, "-ls"]).stdout
    assert f'"manager": "{version}"' in guide.get(host)


def check_listeners(host: Host) -> None:
    """Only what users need is on every address."""
    lines = host.run(["ss", "-ltnH"]).stdout.splitlines()
    wildcard = {
        int(line.split()[3].rpartition(":")[2])
        for line in lines
        if line.split()[3].startswith(("0.0.0.0:", "*:", "[::]:"))
    }
    loopback = {int(line.split()[3].rpartition(":")[2]) for line in lines} - wildcard
    assert wildcard & {6021, 6022, 8081, 8090, 16023, 18080} == _PUBLIC_PORTS, lines
    assert {6022, 16023, 18080} <= loopback, lines


def remove_in_turn(host: Host) -> None:
    """Removing one leaves the others running; purging never touches the volume."""
    left = list(_SERVICES)
    for service in ("webserver", "storage-proxy", "manager"):
        apt(host, "purge", f"backendai-{service}")
        left.remove(service)
        assert [state(host, "is-active", service) for service in left] == ["active"] * len(left)
    apt(host, "purge", _COMMON, "backendai-runtime")
    assert host.run(["find", _VOLUME, "-mindepth", "3", "-maxdepth", "3"]).stdout.strip()
    for folder in ("/etc/backend.ai", "/var/lib/backendai", "/opt/backendai"):
        assert not host.run(["find", folder, "-type", "f"], check=False).stdout, folder
