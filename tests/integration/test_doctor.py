"""Bad input at configuration, and planted faults: each is reported, the safe ones are fixed."""

import json
from collections.abc import Mapping
from typing import Any

import docker
import pytest

from builder.base.model import PackageFormat
from builder.verify.hosts import Host, HostSetup
from tests.integration import guide
from tests.integration.apt import refresh_lists
from tests.integration.clones import node_setup, start_clone
from tests.integration.dist import Dist
from tests.integration.images import Images, Suite
from tests.integration.steps import Steps
from tests.integration.stores import run_sql, start_stores

pytestmark = pytest.mark.docker

_MOUNT = "/dist"
_SITE = "/etc/backend.ai/site.toml"
_VOLUME = "/srv/backendai/volume1"
_DROP_IN = "/etc/systemd/system/docker.service.d/container.conf"
_INSTALL_TIMEOUT_S = 600
_NOT_READY = 69
_REFUSED = 78
_ERRORS = 4
_ETCD_PASSWORD = "of-etcd"
_SENTINEL = """\
port 26379
bind 127.0.0.1
dir /tmp
requirepass of-sentinel
sentinel monitor main 127.0.0.1 6379 1
sentinel auth-pass main of-valkey
"""
_SECURE_SITE = f"""\
[etcd]
user = "root"
password = "{_ETCD_PASSWORD}"
[database]
tls = "verify-ca"
tls-ca = "/etc/ssl/certs/ssl-cert-snakeoil.pem"
[redis]
sentinels = ["127.0.0.1:26379"]
service-name = "main"
password = "of-valkey"
sentinel-password = "of-sentinel"
"""
_RUNNER = "/var/lib/docker/volumes/backendai-krunner.*/_data"


def test_bad_input(engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps) -> None:
    """Wrong values are reported at configuration and stay visible; dpkg ends well."""
    setup = HostSetup(
        image=images.stores(Suite.TRIXIE), name="bad-input", mounts={dist.folder: _MOUNT}
    )
    services = ("webserver", "storage-proxy", "agent")
    names = ("backendai-common", *(f"backendai-{service}" for service in services))
    runtime, common, webserver, storage, agent = (
        f"{_MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *names)
    )
    with Host(engine, setup) as host:
        refresh_lists(host)
        # There are no stores: waiting for them is another test's matter.
        host.run(["systemctl", "mask", "backendai-seed.service"])
        with steps("uid taken"):
            host.run(["dpkg", "--install", runtime])
            take_uid(host, common)
        with steps("broken site.toml"):
            break_site(host, common, webserver)
        with steps("an answer that the release refuses"):
            give_refused_answer(host)
        with steps("port in use"):
            take_port(host)
        with steps("volume path missing"):
            miss_volume(host, storage)
        with steps("no Docker"):
            miss_docker(host, agent)
        with steps("an admin's file that the release refuses"):
            edit_wrongly(host)


def take_uid(host: Host, *files: str) -> None:
    """The account's number belongs to another: refused, and nothing is half installed."""
    host.run(["useradd", "--uid", "1100", "other"])
    refused = install(host, *files, check=False)
    assert "1100" in refused
    assert "belongs to" in refused
    assert not host.run(["dpkg", "--audit"]).stdout
    host.run(["userdel", "other"])


def break_site(host: Host, *files: str) -> None:
    """A site.toml that is no TOML."""
    host.run(["mkdir", "-p", "/etc/backend.ai"])
    host.write(_SITE, "[redis\n")
    assert "site.toml: is not TOML" in install(host, *files)
    assert status(host)["webserver"]["config"] == "missing"
    assert "is not TOML" in doctor(host, "site")[0]["what"]


def give_refused_answer(host: Host) -> None:
    """A value that our questions let pass."""
    host.write(_SITE, '[redis]\nsentinels = ["[fd00::1]:26379"]\n')
    result = host.run(["backendai-ctl", "configure", "webserver"], check=False)
    assert result.status == _REFUSED
    assert 'session.redis.sentinel = "[fd00::1]:26379"' in result.stderr
    assert "(site.toml: redis.sentinels)" in result.stderr
    host.run(["test", "!", "-e", "/etc/backend.ai/webserver.conf"])


def take_port(host: Host) -> None:
    """Another program holds the port."""
    host.write(_SITE, '[storage]\npath = "/mnt/none"\n')
    host.run(["systemd-run", "--unit=holder", *listener(8090)])
    host.wait_until("it listens", lambda: "8090" in listening(host), timeout=20)
    result = host.run(["backendai-ctl", "configure", "webserver"])
    assert "cannot listen there: Address already in use" in result.stderr
    found = status(host)["webserver"]
    assert "Address already in use" in found["problems"][0]
    assert not found["up"]
    host.run(["systemctl", "stop", "holder"])
    assert not status(host)["webserver"]["problems"]


def miss_volume(host: Host, storage: str) -> None:
    """site.toml names a folder that is not there."""
    assert "warning: /mnt/none (storage.path) is missing" in install(host, storage)
    assert "/mnt/none" in status(host)["storage-proxy"]["needs"]
    (found,) = (finding for finding in doctor(host, "volume") if finding["severity"] == "error")
    assert (found["where"], found["what"]) == ("/mnt/none", "the volume is missing")


def miss_docker(host: Host, agent: str) -> None:
    """An agent on a host without Docker, as rpm allows."""
    result = host.run(["dpkg", "--install", "--force-depends", agent], check=False)
    assert "this host has no Docker" in result.stdout + result.stderr
    assert "no Docker" in status(host)["agent"]["needs"]


def edit_wrongly(host: Host) -> None:
    """An admin's own mistake: warned of, and left."""
    conf = "/etc/backend.ai/webserver.conf"
    host.run(["sed", "-i", "s/^port = 8090/port = 809000/", conf])
    edited = host.read(conf)
    result = host.run(["backendai-ctl", "configure", "webserver"])
    assert "service.port = 809000" in result.stderr
    assert host.read(conf) == edited
    result = host.run(["backendai-ctl", "check-config", "webserver"], check=False)
    assert result.status == _REFUSED
    assert status(host)["webserver"]["config"] == "edited"


def install(host: Host, *files: str, check: bool = True) -> str:
    """What apt says while it installs these."""
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", *files]
    result = host.run(command, check=check, timeout=_INSTALL_TIMEOUT_S)
    assert check or result.status != 0
    assert not check or not host.run(["dpkg", "--audit"]).stdout
    return result.stdout + result.stderr


def listener(port: int) -> list[str]:
    """A command that holds a port."""
    code = f"import socket, time; s = socket.create_server(('', {port})); time.sleep(600)"
    return ["/opt/backendai/webserver/bin/python3", "-I", "-c", code]


def listening(host: Host) -> str:
    """Who listens."""
    return host.run(["ss", "-ltnH"]).stdout


def status(host: Host) -> Mapping[str, Mapping[str, Any]]:
    """Each service's state."""
    result = host.run(["backendai-ctl", "status", "--json"], check=False)
    return {service["service"]: service for service in json.loads(result.stdout)["services"]}


def doctor(host: Host, *checks: str, fix: bool = False) -> list[dict[str, Any]]:
    """The findings, after ``--fix`` where asked for."""
    only = [word for check in checks for word in ("--only", check)]
    command = ["backendai-ctl", "doctor", "--json", *(["--fix"] if fix else []), *only]
    result = host.run(command, check=False)
    answer = json.loads(result.stdout)
    assert not answer["failed"], answer["failed"]
    findings: list[dict[str, Any]] = answer["findings"]
    worst = {finding["severity"] for finding in findings}
    assert result.status == (_ERRORS if "error" in worst else 3 if "warning" in worst else 0)
    return findings


@pytest.mark.full  # test_faults_of_a_clone has one of each kind
def test_planted_faults(
    engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps
) -> None:
    """A node that is well; then one fault after the other, found and, where that is safe, fixed."""
    services = ("manager", "graphql", "storage-proxy", "webserver", "agent")
    names = ("backendai-common", *(f"backendai-{service}" for service in services))
    files = [f"{_MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *names)]
    setup = HostSetup(
        image=images.stores(Suite.TRIXIE),
        name="doctor",
        mounts={dist.folder: _MOUNT},
        volumes=("/opt", "/var/lib/docker", "/var/lib/containerd"),
        capabilities=("IPC_LOCK", "SYS_NICE"),
    )
    with Host(engine, setup) as host:
        refresh_lists(host)
        host.run(["mkdir", "-p", _DROP_IN.rpartition("/")[0]])
        host.write(_DROP_IN, "[Service]\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\n")
        with steps("stores that ask who is there"):
            start_stores(host, Suite.TRIXIE)
            secure_stores(host)
        with steps("install"):
            install(host, *files)
            guide.wait_until_filled(host)
        with steps("up"):
            host.wait_until(
                "all are up",
                lambda: host.run(["backendai-ctl", "status"], check=False).status == 0,
                timeout=200,
            )
            table = host.run(["backendai-ctl", "status"]).stdout
            assert max(map(len, table.splitlines())) <= 80, table
            assert f"up: {len(services)} of {len(services)}" in table
            seen = host.run(["backendai-ctl", "status"], user="nobody", check=False).stdout
            assert "as root you would see" in seen, seen
            host.wait_until(
                "the kernel runner is unpacked",
                lambda: host.run(f"test -s {_RUNNER}/VERSION", check=False).status == 0,
                timeout=90,
            )
        check_stores_are_secure(host)
        with steps("a node that is well"):
            # The clock of a container is its host's: nothing in it says that it is kept. And
            # the release's own registry is on the Internet. The Web UI has no certificate, and
            # the only server that the Sentinel knows no replica.
            well = [
                finding
                for finding in doctor(host)
                if finding["check"] != "clock"
                and (finding["check"], finding["severity"])
                not in (("registry", "note"), ("tls", "note"))
            ]
            (lone,) = well
            assert (lone["check"], lone["severity"]) == ("member", "warning"), lone
            assert "has no replica" in lone["what"], lone
        with steps("plant and fix"):
            plant_files(host)
            plant_volume(host)
            plant_runner(host)
        with steps("plant"):
            plant_listener(host)
            plant_node(host)
            plant_silent_peer(host)
            plant_dead_unit(host)


def test_faults_of_a_clone(
    engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps
) -> None:
    """One fault of a file, of a volume and of a unit, on a node that was well before."""
    with Host(engine, node_setup(images, dist, "doctor-clone")) as host:
        with steps("start"):
            start_clone(host)
        with steps("plant and fix"):
            plant_files(host)
            plant_volume(host)
        host.run(["systemctl", "stop", "backendai-webserver", "valkey-server"])
        found = {finding["check"]: finding for finding in doctor(host, "unit", "store")}
        assert found["unit"]["remedy"] == "systemctl start backendai-webserver.service"
        assert "127.0.0.1:6379" in found["store"]["what"]


def secure_stores(host: Host) -> None:
    """PostgreSQL by TLS alone, Valkey behind a Sentinel, each with a password; etcd's users."""
    host.run("sed -i 's/^host /hostssl /' /etc/postgresql/*/main/pg_hba.conf")
    host.run("echo 'requirepass of-valkey' >>/etc/valkey/valkey.conf")
    host.run(["systemctl", "restart", "postgresql", "valkey-server"])
    host.write("/root/sentinel.conf", _SENTINEL, mode=0o600)
    sentinel = ["valkey-server", "/root/sentinel.conf", "--sentinel"]
    host.run(["systemd-run", "--unit=sentinel", *sentinel])
    host.run(["etcdctl", "user", "add", f"root:{_ETCD_PASSWORD}"])
    host.run(["etcdctl", "user", "grant-role", "root", "root"])
    host.run(["etcdctl", "auth", "enable"])
    host.run(["mkdir", "-p", "/etc/backend.ai"])
    host.write(_SITE, _SECURE_SITE, mode=0o640)


def check_stores_are_secure(host: Host) -> None:
    """The services do come by TLS and by the Sentinel; another name of the server is refused."""
    sql = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename="
    assert run_sql(host, f"{sql}'backend'") == "t\n"
    ask = ["valkey-cli", "-p", "26379", "--no-auth-warning", "-a", "of-sentinel", "client", "list"]
    assert len(host.run(ask).stdout.splitlines()) > 1
    assert "sentinel" in host.run(["backendai-ctl", "etcd", "manager"]).stdout
    env = "/etc/backend.ai/manager.env"
    made = host.read(env)
    host.run(["sed", "-i", "s/verify-ca/verify-full/", env])
    result = host.run(["backendai-ctl", "check-stores", "manager"], check=False)
    assert result.status == _NOT_READY
    assert "certificate is not valid for '127.0.0.1'" in result.stderr
    host.run(["sed", "-i", "s/verify-full/verify-ca/", env])
    assert host.read(env) == made


def plant_files(host: Host) -> None:
    """A secret for all to read."""
    secret = "/var/lib/backendai/secrets/manager-secret"
    host.run(["chmod", "0644", secret])
    (found,) = doctor(host, "files")
    assert (found["where"], found["value"], found["fixable"]) == (secret, "0644", True)
    assert not doctor(host, "files", fix=True)
    assert host.run(["stat", "-c", "%U:%G %a", secret]).stdout == "root:root 600\n"


def plant_volume(host: Host) -> None:
    """Another owner; a mount that is missing; an older layout."""
    host.run(["chown", "root:root", _VOLUME])
    found = {finding["what"].split(":")[0] for finding in doctor(host, "volume")}
    assert found == {"belongs to 0", "backendai cannot write there"}
    # It is not empty: only the admin knows who is right.
    assert len(doctor(host, "volume", fix=True)) == 2
    host.run(["chown", "backendai:backendai", _VOLUME])
    host.run(
        f"echo 'server:/volume /srv/backendai nfs4 defaults 0 0' >>/etc/fstab; rm {_VOLUME}/v*"
    )
    found = {
        finding["what"].partition(",")[0].partition(":")[0] for finding in doctor(host, "volume")
    }
    assert found == {"/srv/backendai is in /etc/fstab and not mounted", "has no version.txt"}
    host.run(["sed", "-i", "/nfs4/d", "/etc/fstab"])
    assert not doctor(host, "volume", fix=True)
    assert host.run(["stat", "-c", "%U", f"{_VOLUME}/version.txt"]).stdout == "backendai\n"


def plant_runner(host: Host) -> None:
    """A kernel-runner volume that is not whole: emptied, removed, and filled by the agent."""
    host.run(f"rm -rf {_RUNNER}/*")
    (found,) = doctor(host, "runner")
    assert "lacks VERSION and bin" in found["what"]
    assert found["fixable"]
    assert status(host)["agent"]["up"], "an agent that is up does not show it"
    assert not doctor(host, "runner", fix=True)
    host.wait_until(
        "the volume is whole again",
        lambda: host.run(f"test -s {_RUNNER}/VERSION", check=False).status == 0,
        timeout=90,
    )
    assert status(host)["agent"]["up"]


def plant_listener(host: Host) -> None:
    """A metadata server on every address, as the release would have it."""
    assert "127.0.0.1:6005" in listening(host)
    key = "metadata-server-bind-host"
    config = "/etc/backend.ai/agent.toml"
    host.run(["sed", "-i", f"/^{key}/d", config])
    host.run(["systemctl", "restart", "backendai-agent"], timeout=200)
    host.wait_until("it listens", lambda: "0.0.0.0:6005" in listening(host), timeout=60)
    (found,) = doctor(host, "listener")
    assert found["value"] == "0.0.0.0:6005"
    assert "metadata-host" in found["remedy"]


def plant_node(host: Host) -> None:
    """Another node whose account has another number."""
    key = "/backendai-packages/local/nodes/rack2"
    etcdctl = ["etcdctl", f"--user=root:{_ETCD_PASSWORD}"]
    host.run([*etcdctl, "put", key, '{"uid": 1200, "gid": 1100}'])
    (found,) = doctor(host, "nodes")
    assert found["what"] == "uid is 1100 here and 1200 on rack2"
    host.run([*etcdctl, "del", key])
    assert not doctor(host, "nodes")


def plant_silent_peer(host: Host) -> None:
    """A webserver whose GraphQL gateway is unreachable."""
    host.run(["systemctl", "stop", "backendai-graphql"])
    (found,) = doctor(host, "peer")
    assert found["value"] == "127.0.0.1:4000"
    assert "Web UI" in found["what"]
    host.run(["systemctl", "start", "backendai-graphql"], timeout=300)
    assert not doctor(host, "peer")


def plant_dead_unit(host: Host) -> None:
    """A service that does not run, and a store that is unreachable."""
    host.run(["systemctl", "stop", "backendai-webserver", "sentinel"])
    result = host.run(["backendai-ctl", "status"], check=False)
    assert result.status == _NOT_READY
    assert "down: webserver" in result.stdout
    assert "nothing answers on 127.0.0.1:26379" in result.stdout
    found = {finding["check"]: finding for finding in doctor(host, "unit", "store")}
    assert found["unit"]["remedy"] == "systemctl start backendai-webserver.service"
    assert "nothing answers on 127.0.0.1:26379" in found["store"]["what"]
