"""What tests of upgrades share: a first installation with an operator's changes, and checks."""

import re

from builder.base.model import PackageFormat
from builder.verify.hosts import Host
from tests.integration import guide
from tests.integration.apt import apt
from tests.integration.dist import MOUNT, Dist, have_release
from tests.integration.stores import run_sql

_PACKAGES = ("backendai-common", "backendai-manager")
_UNIT = guide.UNIT
DATABASE = "backend"
_TIMEOUT_S = 300
_VERSIONS = "SELECT version_num FROM alembic_version"
CONFIG = "/etc/backend.ai/manager.toml"
# What an operator changed: a domain's row, a row of his own, a line in a configuration.
CHANGE = """
UPDATE domains SET description = 'changed by an admin' WHERE name = 'default';
INSERT INTO domains (name, description, is_active, total_resource_slots,
                     allowed_vfolder_hosts, allowed_docker_registries, dotfiles)
SELECT 'research', 'a row of ours', true, '{}', '{}', '{}', dotfiles
  FROM domains WHERE name = 'default';
"""
ROWS = "SELECT name, description FROM domains ORDER BY name"
_WANTED = "default|changed by an admin\nresearch|a row of ours\n"


def files(dist: Dist, version: str) -> list[str]:
    """The packages of a release, by their paths on the host."""
    names = have_release(dist, version, PackageFormat.DEB, *_PACKAGES)
    return [f"{MOUNT}/{name}" for name in names]


def install(host: Host, dist: Dist, version: str) -> None:
    """A first installation, used until the server answers, with an operator's changes."""
    apt(host, "install", *files(dist, version))
    guide.wait_until_filled(host)
    guide.wait_for_answer(host)
    run_sql(host, CHANGE, database=DATABASE)
    host.run(["sed", "-i", "1i # mine", CONFIG])


def main_pid(host: Host) -> int:
    """The server's process."""
    return int(host.run(["systemctl", "show", "--property=MainPID", "--value", _UNIT]).stdout)


def revision(host: Host) -> str:
    """Where the database is."""
    return run_sql(host, _VERSIONS, database=DATABASE).strip()


def dumps(host: Host) -> list[str]:
    """The dumps that are kept."""
    return host.run("ls /var/lib/backendai/backup/*.dump", check=False).stdout.split()


def starts(host: Host) -> int:
    """How often systemd started the service since the host is up."""
    journal = host.run(["journalctl", "--unit", _UNIT, "--output=cat", "--no-pager"]).stdout
    return journal.count(f"Starting {_UNIT}")


def check_consistent(host: Host) -> None:
    """Everything is configured for dpkg, and nothing is left to do."""
    assert not host.run(["dpkg", "--audit"]).stdout
    host.run(["dpkg", "--configure", "-a"])
    state = "${db:Status-Status}"
    for package in _PACKAGES:
        assert host.run(["dpkg-query", "-W", f"-f={state}", package]).stdout == "installed"


def check_kept(host: Host) -> None:
    """Nothing of the operator's is lost."""
    assert run_sql(host, ROWS, database=DATABASE) == _WANTED
    assert host.read(CONFIG).startswith("# mine\n")


def check_files(host: Host) -> None:
    """Every file below the prefix is the installed package's: no old one, no stale bytecode."""
    script = (
        "dpkg -L backendai-manager | sort >/root/listed; "
        "find /opt/backendai/manager | sort >/root/found; comm -13 /root/listed /root/found"
    )
    assert host.run(script).stdout == ""


def begin_without_store(host: Host, dist: Dist) -> str:
    """The new release on a database of the old one, and nothing that upgrades it by itself."""
    install(host, dist, "26.8.3")
    old = revision(host)
    host.run(["systemctl", "mask", "--now", "backendai-seed", "backendai-seed-retry.timer"])
    host.run(["systemctl", "stop", "postgresql"])
    apt(host, "install", *files(dist, "26.9.6"))
    host.run(["systemctl", "start", "postgresql"])
    return old


def fails_with(host: Host, message: str) -> None:
    """An upgrade says ``message``, and so does `status` afterwards."""
    failed = host.run(["backendai-ctl", "upgrade"], check=False, timeout=_TIMEOUT_S)
    assert failed.status != 0
    assert message in failed.stderr, failed.stderr
    status = " ".join(host.run(["backendai-ctl", "status"], check=False).stdout.split())
    assert message in status, status


def tables_of(host: Host) -> set[str]:
    """The tables of the release."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return set(run_sql(host, query, database=DATABASE).split())


def schema_dump(host: Host) -> str:
    """Every object of the database but the tool's own, without what one dump adds to another.

    PostgreSQL writes the casts of a condition otherwise once it has read its own.
    """
    command = "runuser -u postgres -- pg_dump --schema-only --schema=public"
    text = host.run(f"cd / && {command} {DATABASE}").stdout
    plain = re.sub(r"::(character varying|text)(\[\])?|[()]", "", text)
    return "\n".join(line for line in plain.splitlines() if "restrict" not in line)


def kill_install(host: Host, packages: list[str], until: str) -> None:
    """Begin an installation, and kill it with all its children once ``until`` is true."""
    words = " ".join(packages)
    host.run(
        "export DEBIAN_FRONTEND=noninteractive; "
        f"setsid apt-get -y --fix-broken install {words} >/root/killed.log 2>&1 & pid=$!; "
        f"until {until} || ! kill -0 $pid; do sleep 0.05; done; "
        # apt gives dpkg a terminal, and so a session, of its own.
        "dpkg=$(pgrep -o -x dpkg) && pkill -KILL -s $(ps -o sid= -p $dpkg); "
        "pkill -KILL -s $pid; wait; true",
        timeout=_TIMEOUT_S,
    )
