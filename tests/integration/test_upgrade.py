"""Real releases upgraded on a clean host with real stores and data in the database."""

import json
import os
from pathlib import Path

import pytest

from builder.verify.hosts import Host
from tests.integration import guide
from tests.integration.apt import apt
from tests.integration.dist import Dist
from tests.integration.steps import Steps
from tests.integration.stores import run_sql
from tests.integration.upgrades import (
    DATABASE,
    begin_without_store,
    check_consistent,
    check_files,
    check_kept,
    dumps,
    fails_with,
    files,
    install,
    kill_install,
    main_pid,
    revision,
    schema_dump,
    starts,
    tables_of,
)

pytestmark = pytest.mark.docker

_UNIT = guide.UNIT
_TIMED_OUT = 75  # the exit status of `status --wait`
_TIMEOUT_S = 300
# A night's run takes more: BUILDER_UPGRADE_KILLS=60.
_KILLS = int(os.environ.get("BUILDER_UPGRADE_KILLS", "6"))
_DATA = Path(__file__).parent / "data"


@pytest.mark.full
def test_one_line(host: Host, dist: Dist, steps: Steps) -> None:
    """26.9.5 to 26.9.6, whose schemas are one: a restart, no dump; and back again."""
    with steps("install 26.9.5"):
        install(host, dist, "26.9.5")
    before, at, began = main_pid(host), revision(host), starts(host)
    with steps("upgrade to 26.9.6"):
        apt(host, "install", *files(dist, "26.9.6"))
        guide.wait_for_answer(host)
    check_consistent(host)
    assert main_pid(host) != before
    assert starts(host) == began + 1
    assert revision(host) == at
    assert not dumps(host)
    check_kept(host)
    check_files(host)
    with steps("back to 26.9.5, which has the same schema"):
        apt(host, "install", "--allow-downgrades", *files(dist, "26.9.5"))
        guide.wait_for_answer(host)
    check_consistent(host)
    check_kept(host)


def cross_lines(host: Host, dist: Dist, steps: Steps) -> tuple[str, str]:
    """26.8.3 to 26.9.6: dumped, migrated, restarted once; a downgrade alone is refused.

    Returns where the database was, and the dump.
    """
    with steps("install 26.8.3"):
        install(host, dist, "26.8.3")
    old, began = revision(host), starts(host)
    with steps("upgrade to 26.9.6"):
        apt(host, "install", *files(dist, "26.9.6"))
        guide.wait_for_answer(host)
    check_consistent(host)
    new = revision(host)
    assert new != old
    assert starts(host) == began + 1
    check_kept(host)
    check_files(host)
    (dump,) = dumps(host)
    assert host.run(["stat", "-c", "%a %U", dump]).stdout == "600 root\n"
    assert host.run(["backendai-ctl", "upgrade-check"]).status == 0

    with steps("a downgrade is refused"):
        refused = host.run(
            ["apt-get", "-y", "-q", "install", "--allow-downgrades", *files(dist, "26.8.3")],
            check=False,
            timeout=_TIMEOUT_S,
        )
    assert refused.status != 0
    assert "would destroy data" in refused.stderr + refused.stdout
    # backendai-common may be at either version; the manager is untouched and serves on.
    host.run(["dpkg", "--configure", "-a"])
    assert not host.run(["dpkg", "--audit"]).stdout
    installed = host.run(["dpkg-query", "-W", "-f=${Version}", "backendai-manager"]).stdout
    assert installed.partition("-")[0] == dist.version
    guide.wait_for_answer(host)
    assert revision(host) == new

    return old, dump


def test_across_lines(host: Host, dist: Dist, steps: Steps) -> None:
    """26.8.3 to 26.9.6, and not back by accident."""
    cross_lines(host, dist, steps)


@pytest.mark.full  # at every change the way back is refused, and what it needs is there
def test_across_lines_and_back(host: Host, dist: Dist, steps: Steps) -> None:
    """The former release runs again once the dump is restored."""
    old, dump = cross_lines(host, dist, steps)
    with steps("downgrade with the dump"):
        host.run("touch /etc/backend.ai/allow-upgrade")
        apt(host, "install", "--allow-downgrades", *files(dist, "26.8.3"))
        check_consistent(host)
        assert guide.get(host) == ""  # down: its database is of a newer release
        host.run(["backendai-ctl", "restore", "--yes", dump], timeout=_TIMEOUT_S)
        guide.wait_for_answer(host)
    assert revision(host) == old
    check_kept(host)


@pytest.mark.full
def test_a_database_that_is_unreachable(host: Host, dist: Dist, steps: Steps) -> None:
    """The installation ends well; the migration does by itself when the database is back."""
    with steps("install 26.8.3"):
        install(host, dist, "26.8.3")
    old = revision(host)
    host.run(["systemctl", "stop", "postgresql"])
    with steps("upgrade while the database is unreachable"):
        apt(host, "install", *files(dist, "26.9.6"))
    check_consistent(host)
    status = " ".join(host.run(["backendai-ctl", "status"], check=False).stdout.split())
    assert "its database is not upgraded" in status
    assert "at once by: sudo backendai-ctl seed apply" in status
    waited = host.run(["backendai-ctl", "status", "--wait", "3"], check=False)
    assert waited.status == _TIMED_OUT, waited.stderr
    assert "manager: waiting: its database is not upgraded" in waited.stderr
    assert host.run(["systemctl", "is-active", _UNIT], check=False).stdout == "inactive\n"
    # Whatever happens now, a service with the wrong schema is not started.
    host.run(["systemctl", "start", _UNIT])
    assert host.run(["systemctl", "is-active", _UNIT], check=False).stdout == "inactive\n"
    host.run(["systemctl", "start", "postgresql"])
    with steps("it ends by itself"):
        guide.wait_for_answer(host)
    assert revision(host) != old
    check_kept(host)
    assert not host.failed_units()


@pytest.mark.full
@pytest.mark.parametrize("is_away", [False, True], ids=["there", "away"])
def test_a_database_that_a_removal_left(
    host: Host, dist: Dist, steps: Steps, *, is_away: bool
) -> None:
    """A newer release is installed on it: it is dumped, migrated, and the service comes up."""
    with steps("install 26.8.3"):
        install(host, dist, "26.8.3")
    old = revision(host)
    apt(host, "remove", "backendai-manager")
    if is_away:
        host.run(["systemctl", "stop", "postgresql"])
    with steps("install 26.9.6"):
        apt(host, "install", *files(dist, "26.9.6"))
    check_consistent(host)
    if is_away:
        assert host.run(["systemctl", "is-active", _UNIT], check=False).stdout == "inactive\n"
        host.run(["systemctl", "start", "postgresql"])
    with steps("it comes up by itself"):
        guide.wait_for_answer(host)
    assert revision(host) != old
    assert len(dumps(host)) == 1
    check_kept(host)
    assert not host.failed_units()
    assert not host.run("ls /var/lib/backendai/upgrade/*.pending", check=False).stdout


@pytest.mark.full
def test_a_migration_that_cannot_be_undone_is_not_begun(
    host: Host, dist: Dist, steps: Steps
) -> None:
    """Without pg_dump, and on a full disk, nothing is touched."""
    with steps("26.9.6 on a database of 26.8.3"):
        old = begin_without_store(host, dist)
    host.run("mv /usr/bin/pg_dump /usr/bin/pg_dump.away")
    fails_with(host, "pg_dump is not on this host")
    host.run("mv /usr/bin/pg_dump.away /usr/bin/pg_dump")
    assert revision(host) == old

    host.run("mkdir -p /var/lib/backendai/backup")
    host.run("mount -t tmpfs -o size=100k,mode=700 tmpfs /var/lib/backendai/backup")
    fails_with(host, "MB are free")
    host.run("umount /var/lib/backendai/backup")
    assert revision(host) == old
    assert not dumps(host)

    with steps("finish"):
        host.run(["backendai-ctl", "upgrade"], timeout=_TIMEOUT_S)
        host.run(["systemctl", "start", _UNIT], timeout=_TIMEOUT_S)
        guide.wait_for_answer(host)
    assert revision(host) != old
    check_kept(host)


@pytest.mark.full
def test_a_migration_that_fails_is_undone(host: Host, dist: Dist, steps: Steps) -> None:
    """Where something of the admin's is in its way, all is as it was, and it says so."""
    with steps("26.9.6 on a database of 26.8.3"):
        old = begin_without_store(host, dist)
    before, tables = schema_dump(host), tables_of(host)
    with steps("upgrade, and back by its dump"):
        host.run(["backendai-ctl", "upgrade"], timeout=_TIMEOUT_S)
        upgraded = tables_of(host)
        (dump,) = dumps(host)
        host.run(["backendai-ctl", "restore", "--yes", dump], timeout=_TIMEOUT_S)
    assert revision(host) == old
    assert schema_dump(host) == before
    check_kept(host)
    new = sorted(upgraded - tables)
    assert new
    for table in (new[0], new[-1]):
        # The service's role could not dump a table of another owner.
        made = f"SET ROLE backend; CREATE TABLE {table} AS SELECT 7 AS mine"
        run_sql(host, made, database=DATABASE)
        with steps(f"upgrade where somebody has made {table}"):
            fails_with(host, "`alembic upgrade head` failed")
        assert revision(host) == old
        assert run_sql(host, f"SELECT mine FROM {table}", database=DATABASE) == "7\n"
        run_sql(host, f"DROP TABLE {table}", database=DATABASE)
        assert schema_dump(host) == before
        check_kept(host)
    host.run(["systemctl", "start", _UNIT])
    assert host.run(["systemctl", "is-active", _UNIT], check=False).stdout == "inactive\n"
    with steps("finish"):
        host.run(["backendai-ctl", "upgrade"], timeout=_TIMEOUT_S)
        host.run(["systemctl", "start", _UNIT], timeout=_TIMEOUT_S)
        guide.wait_for_answer(host)
    assert tables_of(host) == upgraded
    check_kept(host)


@pytest.mark.full
def test_a_transaction_that_is_killed(host: Host, dist: Dist, steps: Steps) -> None:
    """Killed while files are unpacked, and again; dpkg and the service come out of it."""
    with steps("install 26.8.3"):
        install(host, dist, "26.8.3")
    old = revision(host)
    packages = files(dist, "26.9.6")
    moments = (
        "grep -q 'upgrade backendai-manager:amd64 26.8.3' /var/log/dpkg.log && sleep 3",
        "grep -q 'status half-configured backendai-manager:amd64 26.9.6' /var/log/dpkg.log",
    )
    for until in moments:
        with steps(f"killed at: {until}"):
            kill_install(host, packages, until)
            assert host.run(["dpkg", "--audit"]).stdout
            host.run(["dpkg", "--configure", "-a"], check=False, timeout=_TIMEOUT_S)
    with steps("again, to its end"):
        # As apt asks for: one package is new by now, and the other is not.
        apt(host, "install", "--fix-broken", *packages)
        guide.wait_for_answer(host)
    check_consistent(host)
    assert revision(host) != old
    check_kept(host)
    check_files(host)
    assert not host.run("ls /var/lib/backendai/upgrade/*.pending", check=False).stdout


@pytest.mark.full
def test_a_host_that_loses_its_power_amid_an_upgrade(host: Host, dist: Dist, steps: Steps) -> None:
    """It boots with new code and an old schema, and migrates before the service starts."""
    with steps("install 26.8.3"):
        install(host, dist, "26.8.3")
    old = revision(host)
    with steps("killed before the end of the transaction"):
        kill_install(
            host, files(dist, "26.9.6"), "[ -e /var/lib/backendai/upgrade/manager.pending ]"
        )
    assert revision(host) == old
    with steps("boot"):
        host.reboot()
        guide.wait_for_answer(host)
    assert revision(host) != old
    host.run(["dpkg", "--configure", "-a"], timeout=_TIMEOUT_S)
    check_consistent(host)
    check_kept(host)
    guide.wait_for_answer(host)


@pytest.mark.full
def test_killed_migration(host: Host, dist: Dist, steps: Steps) -> None:
    """SIGKILL to the tool and the migration at each step and any time; the next run ends it."""
    with steps("install 26.8.3"):
        install(host, dist, "26.8.3")
    host.run(["systemctl", "stop", _UNIT])
    run_sql(host, f"CREATE DATABASE backend_old TEMPLATE {DATABASE} OWNER backend")
    apt(host, "install", *files(dist, "26.9.6"))
    host.run(["systemctl", "mask", "--now", "backendai-seed", "backendai-seed-retry.timer"])
    for name in ("seed_trials.py", "upgrade_trials.py"):
        host.copy_in(_DATA / name, f"/root/{name}")
    with steps(f"{_KILLS} kills"):
        command = [f"{guide.PREFIX}/bin/python3", "-E", "-s", "-B", "/root/upgrade_trials.py"]
        result = host.run([*command, str(_KILLS)], timeout=_TIMEOUT_S + 60 * _KILLS)
    report = json.loads(result.stdout)
    steps.say(
        f"{report['runs']} kills, {report['twice']} twice; {report['steps']} steps of Alembic,"
        f" undisturbed {report['undisturbed_s']} s: {report['killed_at']}"
    )
    assert not report["problems"], json.dumps(report["problems"], indent=1)
    check_kept(host)
