"""Seeding against everything: unreachable or wrong stores, kills, other nodes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.verify.hosts import Host, HostSetup
from tests.integration import guide
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import Dist
from tests.integration.images import Images, Suite
from tests.integration.roles import PUBLIC, VARIANTS
from tests.integration.steps import Steps
from tests.integration.stores import run_sql, start_stores

pytestmark = pytest.mark.docker

_MOUNT = "/dist"
_TRIALS = Path(__file__).parent / "data" / "seed_trials.py"
_CONFIG = "/etc/backend.ai/manager.toml"
# A run of all takes more, and by hand it can be as many as time allows.
_IS_FULL = bool(os.environ.get("BUILDER_FULL"))
_KILLS = int(os.environ.get("BUILDER_SEED_KILLS", "12" if _IS_FULL else "2"))
_RACES = int(os.environ.get("BUILDER_SEED_RACES", "4"))
_BESIDE = Path(__file__).parent / "data" / "beside_trials.py"
_BESIDE_S = 60 if _IS_FULL else 20
_RUN_TIMEOUT_S = 120
_START_TIMEOUT_S = 300
_NOT_READY, _TIMED_OUT = 69, 75
_LISTENER = "import socket, time; s = socket.create_server(('127.0.0.1', 5999)); time.sleep(600)"

# What the first packages left: nobody has a role, no project may use the volume, no user can
# read what is everybody's. One project has rights of an administrator's own.
_AS_BEFORE = f"""
DELETE FROM backendai_packages.marks
 WHERE name LIKE 'command/%' OR name LIKE 'grant/groups/%' OR name LIKE 'shared/%';
DELETE FROM user_roles;
DELETE FROM roles WHERE scope_type IN ('domain', 'project', 'user');
UPDATE groups SET allowed_vfolder_hosts = '{{}}';
UPDATE groups SET allowed_vfolder_hosts = '{{"nas:own": ["upload-file"]}}' WHERE name = 'default';
DELETE FROM entity_memberships
 WHERE virtual_entity_id IN ({PUBLIC}) AND NOT member_entity_id IN ({PUBLIC});
DELETE FROM scope_bindings
 WHERE scope_entity_id IN ({PUBLIC}) AND NOT virtual_entity_id IN ({PUBLIC});
"""
_CUSTOM = """
SELECT node.id FROM virtual_entities node JOIN runtime_variants variant
    ON variant.id = node.entity_id WHERE variant.name = 'custom'
"""


class Filling:
    """A host whose stores are filled again and again."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def apply(self) -> tuple[int, str]:
        """One run that starts nothing: its status, and what it said."""
        command = ["backendai-ctl", "seed", "apply", "--wait", "3", "--no-start"]
        result = self.host.run(command, check=False, timeout=_RUN_TIMEOUT_S)
        return result.status, result.stdout + result.stderr

    def fails_with(self, message: str) -> None:
        """A run says ``message``, and so do `seed status` and `doctor` afterwards."""
        status, said = self.apply()
        assert status == _NOT_READY, said
        assert message in said, said
        shown = self.host.run(["backendai-ctl", "seed", "status"], check=False)
        assert shown.status == _NOT_READY
        assert message in " ".join(shown.stdout.split()), shown.stdout
        command = ["backendai-ctl", "doctor", "--only", "seed", "--json"]
        findings = json.loads(self.host.run(command, check=False).stdout)["findings"]
        assert any(message in finding["what"] for finding in findings), findings
        assert all(finding["remedy"] for finding in findings)

    def succeeds(self) -> str:
        """A run leaves nothing to do."""
        status, said = self.apply()
        assert status == 0, said
        assert self.host.run(["backendai-ctl", "seed", "status"]).status == 0
        return said

    def empty(self) -> None:
        """The stores as they were before the installation."""
        run_sql(self.host, "DROP DATABASE IF EXISTS backend WITH (FORCE)")
        run_sql(self.host, "DROP ROLE IF EXISTS backend")
        self.host.run("etcdctl del --prefix /sorna/; rm -rf /var/lib/backendai/credentials")

    def sql(self, statements: str, database: str = "backend") -> str:
        """Statements by the server's own user."""
        return run_sql(self.host, statements, database=database)

    def counts(self) -> str:
        """How many rows some tables have."""
        tables = ("users", "keypairs", "domains", "resource_presets", "role_permission_presets")
        return self.sql("".join(f"SELECT count(*) FROM {table};" for table in tables))


@pytest.fixture(scope="module")
def bare(engine: docker.DockerClient, images: Images, dist: Dist) -> Iterator[Filling]:
    """A host on which the manager was installed without a store."""
    packages = ("backendai-common", "backendai-manager")
    files = [f"{_MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *packages)]
    setup = HostSetup(image=images.stores(Suite.TRIXIE), name="seed", mounts={dist.folder: _MOUNT})
    with Host(engine, setup) as host:
        refresh_lists(host)
        host.run(
            "mkdir -p /etc/backend.ai && printf '[seed]\\nwait = 3\\n' >/etc/backend.ai/site.toml"
        )
        apt(host, "install", *files)
        yield Filling(host)


@pytest.fixture(scope="module")
def filling(bare: Filling) -> Filling:
    """The same with its stores filled, whichever of these tests runs first here."""
    host = bare.host
    if host.run(["systemctl", "is-active", "postgresql"], check=False).status != 0:
        start_stores(host, Suite.TRIXIE)
        guide.wait_until_filled(host)
        host.run(f"systemctl stop {guide.UNIT} backendai-image-rescan-retry.timer")
    return bare


def test_a_store_that_comes_later(bare: Filling, steps: Steps) -> None:
    """Installed without stores, a manager runs once the last of them answers."""
    host = bare.host
    # It imports its modules until the first run gives up.
    asked = ["systemctl", "is-active", guide.UNIT]
    host.wait_until(
        "the manager is stopped",
        lambda: host.run(asked, check=False).stdout == "inactive\n",
        timeout=_START_TIMEOUT_S,
    )
    status = host.run(["backendai-ctl", "seed", "status"], check=False)
    assert status.status == _NOT_READY, status.stdout
    bare.fails_with("etcd on 127.0.0.1:2379 does not answer")
    waited = host.run(["backendai-ctl", "status", "--wait", "3"], check=False)
    assert waited.status == _TIMED_OUT, waited.stderr
    assert "error: not all is up after" in waited.stderr
    assert "manager: waiting: " in waited.stderr
    assert "nothing answers on 127.0.0.1:" in waited.stderr
    with steps("the stores come, and all goes by itself"):
        start_stores(host, Suite.TRIXIE)
        guide.wait_until_filled(host)
        guide.wait_for_answer(host)
    assert host.run(["systemctl", "is-active", "backendai-seed"]).stdout == "active\n"
    account = guide.read_account(host)
    journal = host.run("journalctl --no-pager").stdout
    for secret in ("password", "secret_key", "access_key"):
        assert account[secret] not in journal
    assert not host.failed_units()
    host.run("systemctl stop backendai-manager backendai-image-rescan-retry.timer")


def test_a_second_run_changes_nothing(filling: Filling) -> None:
    """What an admin has changed or removed stays so, also where the packages change."""
    before = filling.counts()
    filling.sql("DELETE FROM resource_presets WHERE name = 'cpu01-small'")
    filling.sql("UPDATE domains SET allowed_vfolder_hosts = '{}' WHERE name = 'default'")
    assert filling.sql("SELECT DISTINCT allowed_vfolder_hosts = '{}' FROM groups") == "f\n"
    filling.sql("UPDATE groups SET allowed_vfolder_hosts = '{}'")
    assert filling.sql("SELECT count(DISTINCT user_id) FROM user_roles") == "5\n"
    ids = "SELECT uuid FROM users WHERE username = 'user'"
    filling.sql(f"DELETE FROM user_roles WHERE user_id IN ({ids})")
    filling.host.run("etcdctl put /sorna/local/config/redis/addr localhost:6379")
    filling.sql("UPDATE domains SET allowed_docker_registries = '{}' WHERE name = 'default'")
    filling.sql("DELETE FROM container_registries WHERE project = 'community'")
    filling.sql("UPDATE container_registries SET username = 'admin' WHERE project = 'stable'")
    filling.succeeds()
    assert filling.counts() != before
    assert filling.sql("SELECT allowed_vfolder_hosts FROM domains") == "{}\n"
    assert filling.sql("SELECT DISTINCT allowed_vfolder_hosts FROM groups") == "{}\n"
    assert filling.sql("SELECT count(DISTINCT user_id) FROM user_roles") == "4\n"
    kept = filling.host.run("etcdctl get --print-value-only /sorna/local/config/redis/addr").stdout
    assert kept == "localhost:6379\n"
    assert filling.sql("SELECT allowed_docker_registries FROM domains") == "{}\n"
    assert "community" not in filling.sql("SELECT project FROM container_registries")
    edited = "SELECT username FROM container_registries WHERE project = 'stable'"
    assert filling.sql(edited) == "admin\n"
    assert not filling.host.run("etcdctl get --prefix /sorna/local/config/docker").stdout


@pytest.mark.full  # a later run that changes nothing stands for it
def test_a_database_of_the_first_packages(filling: Filling) -> None:
    """It gets roles and rights, once, and keeps what an administrator has changed."""
    filling.empty()
    filling.succeeds()
    filling.sql(_AS_BEFORE)
    filling.succeeds()
    assert filling.sql("SELECT count(DISTINCT user_id) FROM user_roles") == "5\n"
    ask = "SELECT name = 'default', allowed_vfolder_hosts ? 'local:volume1' FROM groups"
    assert set(filling.sql(ask).split()) == {"t|f", "f|t"}
    readable, every = map(int, filling.sql(VARIANTS).split())
    assert readable == every > 0
    filling.sql(f"""
DELETE FROM entity_memberships
 WHERE virtual_entity_id IN ({PUBLIC}) AND member_entity_id IN ({_CUSTOM})
""")
    filling.succeeds()
    assert filling.sql(VARIANTS).split() == [str(every - 1), str(every)]


def test_a_wrong_password(filling: Filling) -> None:
    filling.empty()
    filling.sql("CREATE ROLE backend LOGIN PASSWORD 'other'", "postgres")
    filling.fails_with("the role has another password than this host has")
    filling.host.run("backendai-ctl sql manager | runuser -u postgres -- psql -v ON_ERROR_STOP=1")
    filling.succeeds()


def test_a_database_that_is_read_only(filling: Filling) -> None:
    filling.sql("ALTER ROLE backend SET default_transaction_read_only = on")
    filling.fails_with("is read-only")
    filling.sql("ALTER ROLE backend RESET default_transaction_read_only")
    filling.succeeds()


def test_a_database_of_another_release(filling: Filling) -> None:
    (head,) = filling.sql("SELECT version_num FROM alembic_version").split()
    filling.sql("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    filling.fails_with("of a newer release")
    versions = f"{guide.PREFIX}/lib/python3.*/site-packages/ai/backend/manager/models/alembic"
    script = f'grep -lE "^revision = .{head}" {versions}/versions/*.py'
    text = filling.host.read(filling.host.run(script).stdout.strip())
    older = next(line for line in text.splitlines() if line.startswith("down_revision"))
    filling.sql(f"UPDATE alembic_version SET version_num = '{older.split(chr(34))[1]}'")
    filling.fails_with("of an older release")
    filling.sql(f"UPDATE alembic_version SET version_num = '{head}'")
    filling.succeeds()


def test_a_database_of_somebody_else(filling: Filling) -> None:
    filling.empty()
    filling.host.run("backendai-ctl sql manager | runuser -u postgres -- psql -v ON_ERROR_STOP=1")
    filling.sql("CREATE TABLE theirs (id int)")
    filling.fails_with("has tables of something else")
    assert filling.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "1\n"
    filling.sql("DROP TABLE theirs")
    filling.succeeds()


def test_accounts_that_were_there_before(filling: Filling) -> None:
    """A database that somebody filled by hand gets no accounts, and no file lists any."""
    filling.sql("DROP SCHEMA backendai_packages CASCADE")
    filling.sql("UPDATE users SET full_name = 'Kim' WHERE username = 'admin'")
    filling.host.run("rm -rf /var/lib/backendai/credentials")
    before = filling.counts()
    said = filling.succeeds()
    assert "accounts were there before" in said
    assert filling.counts() == before
    assert filling.host.run("test -e /var/lib/backendai/credentials", check=False).status != 0


@pytest.mark.full  # the full disk of this host stands for it
def test_a_full_disk_of_the_server(filling: Filling) -> None:
    """What of the schema was made before the disk was full is made anew afterwards."""
    filling.empty()
    filling.host.run(
        "mkdir -p /mnt/small && mount -t tmpfs -o size=64m tmpfs /mnt/small"
        " && mkdir /mnt/small/pg && chown postgres /mnt/small/pg"
    )
    filling.sql("CREATE TABLESPACE small LOCATION '/mnt/small/pg'", "postgres")
    filling.host.run("backendai-ctl sql manager | runuser -u postgres -- psql -v ON_ERROR_STOP=1")
    filling.sql("ALTER DATABASE backend SET TABLESPACE small", "postgres")
    # An empty database takes more with each version of the server.
    filling.host.run(
        "used=$(df --output=used -k /mnt/small | tail -n 1)"
        " && mount -o remount,size=$((used + 1024))k /mnt/small"
    )
    filling.fails_with("No space left on device")
    filling.sql("ALTER DATABASE backend SET TABLESPACE pg_default", "postgres")
    filling.succeeds()
    filling.sql("DROP TABLESPACE small", "postgres")
    filling.host.run("umount /mnt/small")


def test_a_full_disk_of_this_host(filling: Filling) -> None:
    filling.empty()
    filling.host.run("mount -t tmpfs -o size=4k tmpfs /var/lib/backendai/seed")
    filling.host.run("head -c 8k /dev/zero >/var/lib/backendai/seed/full || true")
    status, said = filling.apply()
    assert status == 71, said
    assert "No space left on device" in said
    filling.host.run("umount /var/lib/backendai/seed")
    filling.succeeds()


@pytest.mark.full  # the store that comes later stands for it
def test_a_store_that_takes_connections_and_says_nothing(filling: Filling) -> None:
    """Both kinds are waited for no longer than their bounds."""
    host = filling.host
    config = host.read(_CONFIG)
    listen = [f"{guide.PREFIX}/bin/python3", "-I", "-c", _LISTENER]
    for key in ("port = 5432", "port = 2379"):
        host.run(["systemd-run", "--quiet", "--collect", "--unit=listener", *listen])
        host.write(_CONFIG, config.replace(key, "port = 5999"), mode=0o640)
        status, said = filling.apply()
        assert status == _NOT_READY, said
        assert "127.0.0.1:5999" in said
        host.run(["systemctl", "stop", "listener"])
    host.write(_CONFIG, config, mode=0o640)
    host.run(["chgrp", "backendai", _CONFIG])
    filling.succeeds()


def test_tls_that_the_server_has_not(filling: Filling) -> None:
    host = filling.host
    filling.sql("ALTER SYSTEM SET ssl = off; SELECT pg_reload_conf()")
    host.run("sed -i 's/^PGSSLMODE=.*/PGSSLMODE=require/' /etc/backend.ai/manager.env")
    filling.fails_with("SSL")
    host.run("sed -i 's/^PGSSLMODE=.*/PGSSLMODE=prefer/' /etc/backend.ai/manager.env")
    filling.succeeds()


def test_an_etcd_that_asks_for_a_user(filling: Filling) -> None:
    host = filling.host
    host.run("etcdctl user add root:secret && etcdctl user grant-role root root")
    host.run("etcdctl auth enable")
    try:
        filling.fails_with("etcd on 127.0.0.1:2379 refuses")
    finally:
        host.run("etcdctl --user root:secret auth disable && etcdctl user delete root")
    filling.succeeds()


def test_a_redis_with_another_password(filling: Filling) -> None:
    host = filling.host
    host.run("valkey-cli config set requirepass secret")
    filling.fails_with("refuses the password")
    host.run("valkey-cli -a secret config set requirepass ''")
    host.run("valkey-cli replicaof 127.0.0.1 6380")
    filling.fails_with("is a replica")
    host.run("valkey-cli replicaof no one")
    filling.succeeds()


def test_a_node_with_other_secrets(filling: Filling) -> None:
    """It fills nothing, and is let in again with the secrets of the cluster."""
    host = filling.host
    host.run("umask 077; backendai-ctl secrets export >/root/secrets.tar")
    host.run("echo other >/var/lib/backendai/secrets/manager-rpc.key_secret")
    filling.fails_with("not the cluster's: manager-rpc.key_secret")
    refused = host.run(["backendai-ctl", "secrets", "import", "/root/secrets.tar"], check=False)
    assert refused.status != 0
    host.run(["backendai-ctl", "secrets", "import", "--replace", "/root/secrets.tar"])
    filling.succeeds()


@pytest.mark.full  # tests of the writer stand for it
def test_commands_beside_each_other(filling: Filling, steps: Steps) -> None:
    """As a timer's scan, a unit's seeding and an admin's commands may come at one time."""
    host = filling.host
    host.copy_in(_BESIDE, "/root/beside_trials.py")
    command = [f"{guide.PREFIX}/bin/python3", "-I", "-B", "/root/beside_trials.py", str(_BESIDE_S)]
    # Retries that the scans ask for go on for themselves.
    report = json.loads(host.run(command, timeout=_RUN_TIMEOUT_S + 2 * _BESIDE_S).stdout)
    host.run("systemctl stop backendai-image-rescan-retry.timer")
    steps.say(f"runs: {report['runs']}")
    assert not report["problems"], json.dumps(report["problems"], indent=1)


def test_kills(filling: Filling, steps: Steps) -> None:
    """Killed anywhere and run again, the end is that of an undisturbed run."""
    report = trials(filling, "kill", _KILLS)
    steps.say(f"{report['runs']} kills; undisturbed {report['undisturbed_s']} s")
    assert not report["problems"], json.dumps(report["problems"], indent=1)


@pytest.mark.full  # one node that is killed stands for three
def test_three_nodes_at_once(filling: Filling, steps: Steps) -> None:
    report = trials(filling, "race", _RACES)
    steps.say(f"{report['rounds']} rounds of three, seconds: {report['seconds']}")
    assert not report["problems"], json.dumps(report["problems"], indent=1)


def trials(filling: Filling, kind: str, count: int) -> dict[str, object]:
    """What data/seed_trials.py reports; it can be the only test that is chosen."""
    start_stores(filling.host, Suite.TRIXIE)
    units = ("backendai-seed-retry.timer", "backendai-seed", "backendai-manager")
    filling.host.run(["systemctl", "stop", *units])
    filling.host.copy_in(_TRIALS, "/root/seed_trials.py")
    command = [f"{guide.PREFIX}/bin/python3", "-I", "-B", "/root/seed_trials.py", kind, str(count)]
    result = filling.host.run(command, timeout=120 + 90 * count)
    report: dict[str, object] = json.loads(result.stdout)
    return report
