"""The packages around the services: the halfstack, the metapackage, what checks them."""

import docker
import pytest

from builder.model import PackageFormat
from builder.paths import PROJECT
from builder.verify.hosts import Host, HostSetup
from tests.integration import checks
from tests.integration.dist import Dist
from tests.integration.images import Images, Suite
from tests.integration.steps import Steps
from tests.integration.test_deb import apt, refresh_lists

pytestmark = pytest.mark.docker

_MOUNT = "/dist"
_DATA = PROJECT / "tests/integration/data"
_UNIT = "backendai-halfstack.service"
_SETTINGS = ("site.toml", "halfstack.yml", "halfstack-redis.conf")
_RUN = "/usr/lib/backendai/halfstack/run"
_COMPOSE = "/etc/backend.ai/halfstack.yml"
_DOCKER_DROP_IN = "/etc/systemd/system/docker.service.d/container.conf"
_START_TIMEOUT_S = 240
# What the images are made of: this host's own servers.
_IMAGE_FILES = "usr etc bin lib lib64 sbin var/lib/postgresql"


def make_images(host: Host) -> None:
    """The halfstack's images, of the host's own servers: no registry is in reach."""
    names = host.run(["sed", "-n", r's/^ *image: *"\(.*\)"/\1/p', _COMPOSE]).stdout.split()
    assert len(names) == 3, names
    host.copy_in(_DATA / "stores-entrypoint.sh", "/usr/local/bin/docker-entrypoint.sh", mode=0o755)
    first, *others = names
    host.run(
        "cd /usr/local/bin && ln -s /usr/bin/etcd etcd && "
        "{ command -v valkey-cli || for one in server cli; do "
        'ln -s "/usr/bin/redis-$one" "valkey-$one"; done; }'
    )
    # The servers' own programs before the wrappers for many versions.
    path = "/usr/local/bin:/usr/lib/postgresql/17/bin:/usr/lib/postgresql/15/bin:/usr/bin:/usr/sbin"
    host.run(
        "mkdir -p /srv/image/run /srv/image/tmp /srv/image/var && cd / && "
        "ln -sfn /run /srv/image/var/run && "
        f"tar -c {_IMAGE_FILES} --exclude=usr/lib/backendai --exclude=usr/share/doc "
        f"--exclude=usr/share/locale --exclude=usr/lib/python3 -C /srv/image run tmp var/run | "
        f"docker import --change 'ENV PATH={path}' --change 'WORKDIR /data' "
        """--change 'ENTRYPOINT ["docker-entrypoint.sh"]' - """
        f"{first}",
        timeout=240,
    )
    for name in others:
        host.run(["docker", "tag", first, name])


def let_docker_run(host: Host) -> None:
    """Without it, Docker refuses networks where the kernel has IPv6 and the host has not."""
    host.run(["mkdir", "-p", _DOCKER_DROP_IN.rpartition("/")[0]])
    host.write(_DOCKER_DROP_IN, "[Service]\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\n")


@pytest.mark.parametrize("suite", list(Suite))
def test_halfstack(
    suite: Suite, engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps
) -> None:
    """Installed together with the client alone: compose of either kind runs three stores."""
    packages = ("backendai-common", "backendai-client", "backendai-halfstack")
    files = [f"{_MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *packages)]
    setup = HostSetup(
        image=images.stores(suite),
        name=f"halfstack-{suite}",
        mounts={dist.folder: _MOUNT},
        volumes=("/opt", "/var/lib/docker", "/var/lib/containerd"),
        # To run a command in a container whose first process is not root's.
        capabilities=("SYS_PTRACE",),
    )
    with Host(engine, setup) as host:
        refresh_lists(host)
        let_docker_run(host)
        with steps("install, without a way to a registry"):
            apt(host, "install", *files)
        assert host.run([_RUN, "compose", "config", "--quiet"]).stderr == ""
        problems = checks.check_settings(
            host, ("site.toml", "halfstack.yml", "halfstack-redis.conf")
        )
        assert not problems, "\n".join(problems)
        log = host.journal(_UNIT)
        assert "error: cannot pull the image postgres:16.3-alpine" in log, log
        assert "hint: without a way to its registry, load it: docker load <FILE" in log
        with steps("make images"):
            make_images(host)
        with steps("start"):
            host.run(["systemctl", "restart", _UNIT], timeout=_START_TIMEOUT_S)
        check_stores(host)
        with steps("restart: the data is still there"):
            host.run(["systemctl", "restart", _UNIT], timeout=_START_TIMEOUT_S)
        check_stores(host, again=True)
        with steps("reinstall: the stores go on"):
            before = host.run("docker ps --quiet --no-trunc | sort").stdout
            apt(host, "install", "--reinstall", files[-1])
            assert host.run("docker ps --quiet --no-trunc | sort").stdout == before
        with steps("a port that is taken"):
            check_taken_port(host)
        with steps("purge: the data stays"):
            apt(host, "purge", "backendai-halfstack")
        assert host.run("docker ps --all --quiet").stdout == ""
        host.run("test -s /var/lib/backendai/halfstack/postgres/pgdata/PG_VERSION")
        assert "halfstack" not in host.run("ls /etc/backend.ai /var/lib/backendai/secrets").stdout
        assert not host.failed_units()


def check_stores(host: Host, *, again: bool = False) -> None:
    """Each store answers where the guide has it, on loopback alone, and keeps what it got."""
    listening = host.run("ss -ltnH").stdout
    for port in (8100, 8110, 8120):
        assert f"127.0.0.1:{port} " in listening
        assert f"0.0.0.0:{port} " not in listening
    login = "PGPASSWORD=$(cat /var/lib/backendai/secrets/{}-database-password) psql -qAt {} -c '{}'"
    database = "-h 127.0.0.1 -p 8100 -U {0} -d {0}"
    sql = "SELECT n FROM kept" if again else "CREATE TABLE kept AS SELECT 7 n; SELECT n FROM kept"
    for secret, name in (("manager", "backend"), ("appproxy-coordinator", "appproxy")):
        assert host.run(login.format(secret, database.format(name), sql)).stdout == "7\n"
    etcd = "ETCDCTL_API=3 etcdctl --endpoints=http://127.0.0.1:8120"
    redis = f"{_RUN} compose exec -T redis valkey-cli"
    if not again:
        host.run(f"{etcd} put kept 7")
        host.run(f"{redis} set kept 7")
    assert host.run(f"{etcd} get --print-value-only kept").stdout == "7\n"
    assert host.run(f"{redis} get kept").stdout.strip() == "7"
    assert not checks.check_secrets(host)


def check_taken_port(host: Host) -> None:
    """Who would start is told which address is taken, and the unit tries again."""
    host.run(["systemctl", "stop", _UNIT])
    host.run(
        "systemd-run --unit=taker --quiet /opt/backendai/client/bin/python3 -m http.server "
        "--bind 127.0.0.1 8110"
    )
    host.wait_until(
        "the port is taken", lambda: ":8110 " in host.run("ss -ltnH").stdout, timeout=20
    )
    host.run(["systemctl", "start", _UNIT], check=False, timeout=60)
    assert "error: 127.0.0.1:8110 is taken" in host.journal(_UNIT, lines=30)
    host.run(["systemctl", "stop", "taker", _UNIT])
