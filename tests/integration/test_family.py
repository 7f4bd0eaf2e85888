"""The packages around the services: the halfstack, the metapackage, what checks them."""

import hashlib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.base.paths import PROJECT
from builder.base.run import run
from builder.verify.hosts import Host, HostSetup
from tests.integration import checks, guide
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import Dist
from tests.integration.dnf import become_distribution, dnf, make_repository
from tests.integration.images import Images, Suite
from tests.integration.steps import Steps

pytestmark = pytest.mark.docker

_MOUNT = "/dist"
_MANAGER = "backendai-manager"
_SERVICES = ("manager", "graphql", "storage-proxy", "webserver")
_DATA = PROJECT / "tests/integration/data"
_UNIT = "backendai-halfstack.service"
_SETTINGS = ("site.toml", "halfstack.yml", "halfstack-redis.conf")
_REDIS = "/etc/backend.ai/halfstack-redis.conf"
_RUN = "/usr/lib/backendai/halfstack/run"
_COMPOSE = "/etc/backend.ai/halfstack.yml"
_DOCKER_DROP_IN = "/etc/systemd/system/docker.service.d/container.conf"
_START_TIMEOUT_S = 400
# The end-to-end cases install the metapackage on Debian 13, and use it.
_SUITES = [pytest.param(suite, marks=pytest.mark.full) for suite in Suite]
# Debian 12's compose is the older kind; on 13 a manager is installed besides. The stores that
# the nodes of every change have are the distribution's: no service knows the difference.
_COMPOSE_SUITES = [pytest.param(suite, marks=pytest.mark.full) for suite in Suite]
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
        "{ command -v valkey-cli || for program in server cli; do "
        'ln -s "/usr/bin/redis-$program" "valkey-$program"; done; }'
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


def make_flat_repository(folder: Path, files: Sequence[str]) -> None:
    """An index beside the packages, so that apt resolves their names."""
    stanzas = []
    for name in files:
        path = folder / name
        fields = run(["dpkg-deb", "--field", path]).stdout.rstrip()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        stanzas.append(
            f"{fields}\nFilename: ./{name}\nSize: {path.stat().st_size}\nSHA256: {digest}\n"
        )
    (folder / "Packages").write_text("\n".join(stanzas))


@pytest.mark.parametrize("suite", _SUITES)
def test_single_node(
    suite: Suite, engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps
) -> None:
    """`apt install backendai` on a host without anything: stores, services, seeded, running."""
    packages = ("backendai", "backendai-halfstack", "backendai-common", "backendai-client")
    names = dist.names(
        PackageFormat.DEB, *packages, *(f"backendai-{service}" for service in _SERVICES)
    )
    make_flat_repository(dist.folder, names)
    setup = HostSetup(
        image=images.base(suite), name=f"single-{suite}", mounts={dist.folder: _MOUNT}
    )
    with Host(engine, setup) as host:
        host.write("/etc/apt/sources.list.d/ours.list", f"deb [trusted=yes] file:{_MOUNT} ./\n")
        apt(host, "update")
        instead = host.run("apt-get install --simulate backendai backendai-halfstack").stdout
        assert "Inst backendai-halfstack" in instead
        for store in ("postgresql", "valkey-server", "redis-server", "etcd-server"):
            assert f"Inst {store} " not in instead
        with steps("install"):
            apt(host, "install", "backendai")
        units = [f"backendai-{service}.service" for service in _SERVICES]

        def all_run() -> bool:
            command = ["systemctl", "is-active", *units]
            return host.run(command, check=False).stdout.split() == ["active"] * len(units)

        with steps("services"):
            took = host.wait_until("all services run", all_run, timeout=_START_TIMEOUT_S)
        steps.say(f"all ran {took:.0f} s after apt had ended")
        host.wait_until("an answer", lambda: guide.get(host).startswith("200 "), timeout=30)
        assert not host.failed_units()
        with steps("complete"):
            check_completion(host)
        with steps("remove the metapackage"):
            apt(host, "purge", "backendai")
        assert all_run()


def check_completion(host: Host) -> None:
    """The manual is found, and a shell knows the manager's own commands."""
    script = "/usr/lib/backendai/completion/complete backend.ai '' mgr etcd"
    env = {"HOME": "/root"}

    def knows() -> bool:
        return "put-json" in host.run(script, env=env).stdout.split()

    host.wait_until("the manager's commands are collected", knows, timeout=90)
    for page in ("man1/backend.ai.1.gz", "man8/backendai-ctl.8.gz"):
        host.run(f"gzip -dc /usr/share/man/{page} | grep -q '^.SH NAME'")


@pytest.mark.full  # the end-to-end cases use a single node of rpms; test_rpm.py erases by dnf
def test_single_node_by_dnf(
    engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps, tmp_path: Path
) -> None:
    """Where the distribution has no etcd, the halfstack comes instead, and says what it lacks."""
    packages = ("backendai", "backendai-halfstack", "backendai-common", "backendai-client")
    names = dist.names(
        PackageFormat.RPM, *packages, *(f"backendai-{service}" for service in _SERVICES)
    )
    setup = HostSetup(image=images.rpm(), name="single-rpm", mounts={dist.folder: _MOUNT})
    with Host(engine, setup) as host:
        become_distribution(host, names, tmp_path)
        make_repository(host, names)
        with steps("install"):
            dnf(host, "install", "backendai")
        listed = host.run(["rpm", "--query", "--all", "--queryformat", "%{NAME}\\n"]).stdout
        assert {name.partition("-26")[0] for name in names} <= set(listed.split())
        problems = checks.check_settings(host, _SETTINGS)
        assert not problems, "\n".join(problems)
        # Whichever was configured first, they agree on where the stores are.
        port = re.search(r'"127.0.0.1:(\d+):5432"', host.read(_COMPOSE))
        assert port
        manager = tomllib.loads(host.read("/etc/backend.ai/manager.toml"))
        assert manager["db"]["addr"] == {"host": "127.0.0.1", "port": int(port[1])}
        # The unit needs Docker's, and this host has none.
        assert "docker.service" in host.run(["systemctl", "start", _UNIT], check=False).stderr
        with steps("remove"):
            # Without it dnf removes everything that came with the metapackage.
            dnf(host, "remove", "--noautoremove", "backendai", "backendai-halfstack")
        listed = host.run(["rpm", "--query", "--all", "--queryformat", "%{NAME}\\n"]).stdout
        assert "backendai-manager" in listed.split()
        assert "backendai-halfstack" not in listed.split()


def let_docker_run(host: Host) -> None:
    """Without it, Docker refuses networks where the kernel has IPv6 and the host has not."""
    host.run(["mkdir", "-p", _DOCKER_DROP_IN.rpartition("/")[0]])
    host.write(_DOCKER_DROP_IN, "[Service]\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\n")


@pytest.mark.parametrize("suite", _COMPOSE_SUITES)
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
        if suite is Suite.TRIXIE:
            with steps("a manager that finds its stores there"):
                check_manager(host, dist)
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
    # The manager's stays empty: it would not fill a database that has a table.
    for secret, name, query in (
        ("manager", "backend", "SELECT 7"),
        ("appproxy-coordinator", "appproxy", sql),
    ):
        assert host.run(login.format(secret, database.format(name), query)).stdout == "7\n"
    anybody = "ETCDCTL_API=3 etcdctl --endpoints=http://127.0.0.1:8120"
    assert "user name is empty" in host.run(f"{anybody} get kept", check=False).stderr
    etcd = f'{anybody} --user="root:$(cat /var/lib/backendai/secrets/stores-etcd-root)"'
    client = f"{_RUN} compose exec -T redis valkey-cli --no-auth-warning"
    assert "NOAUTH" in host.run(f"{client} get kept").stdout
    redis = f"""{client} -a "$(sed -n 's/^requirepass "\\(.*\\)"/\\1/p' {_REDIS})\""""
    if not again:
        host.run(f"{etcd} put kept 7")
        host.run(f"{redis} set kept 7")
    assert host.run(f"{etcd} get --print-value-only kept").stdout == "7\n"
    assert host.run(f"{redis} get kept").stdout.strip() == "7"
    assert not checks.check_secrets(host)


def check_manager(host: Host, dist: Dist) -> None:
    """The manager's own installation fills the halfstack's stores and starts it."""
    apt(host, "install", *(f"{_MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, _MANAGER)))
    host.wait_until(
        "the manager answers", lambda: guide.get(host).startswith("200 "), timeout=_START_TIMEOUT_S
    )
    host.run(["systemctl", "is-active", "--quiet", f"{_MANAGER}.service"])
    host.run(["systemctl", "stop", f"{_MANAGER}.service"])


def check_taken_port(host: Host) -> None:
    """The log names the address that is taken, and the unit tries again."""
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
