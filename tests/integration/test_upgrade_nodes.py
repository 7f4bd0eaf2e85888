"""Managers on several hosts with one database, upgraded at the same time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import docker
import pytest

from builder.verify.hosts import Host, HostSetup
from tests.integration import guide
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import MOUNT, Dist
from tests.integration.images import Images, Suite
from tests.integration.nodes import carry_secrets, open_stores
from tests.integration.steps import Steps
from tests.integration.stores import run_sql, start_stores
from tests.integration.upgrades import (
    CHANGE,
    DATABASE,
    ROWS,
    check_consistent,
    dumps,
    files,
    revision,
    starts,
)

pytestmark = [pytest.mark.docker, pytest.mark.full]

_OLD, _NEW = "26.8.3", "26.9.6"


@pytest.fixture
def hosts(
    engine: docker.DockerClient, images: Images, dist: Dist, tmp_path: Path
) -> Iterator[tuple[Host, Host]]:
    """One host with the stores and one without, both with the old manager at work."""
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                Host(engine, HostSetup(image=image, name=name, mounts={dist.folder: MOUNT}))
            )
            for name, image in (
                ("upgrade-first", images.stores(Suite.TRIXIE)),
                ("upgrade-second", images.base(Suite.TRIXIE)),
            )
        )
        start_stores(first, Suite.TRIXIE)
        open_stores(first)
        first.run(["sh", "-c", "umask 077; openssl rand -hex 16 >/root/password"])
        password = first.read("/root/password").strip()
        run_sql(first, f"CREATE ROLE backend LOGIN PASSWORD '{password}'")
        run_sql(first, "CREATE DATABASE backend OWNER backend")
        site = (
            f'[etcd]\naddresses = ["{first.address}:2379"]\n'
            f'[redis]\naddress = "{first.address}:6379"\n'
            f'[database]\naddress = "{first.address}:5432"\npassword = "{password}"\n'
        )
        common, manager = files(dist, _OLD)
        for host in (first, second):
            refresh_lists(host)
            host.run(["mkdir", "-p", "/etc/backend.ai"])
            host.write("/etc/backend.ai/site.toml", site, mode=0o640)
            apt(host, "install", common)
            if host is second:
                carry_secrets(first, second, tmp_path)
            apt(host, "install", manager)
            guide.wait_until_filled(host)
            guide.wait_for_answer(host)
        yield first, second


def test_two_managers_at_once(hosts: tuple[Host, Host], dist: Dist, steps: Steps) -> None:
    """One dumps and migrates, the other waits for it; both come up, each started once."""
    first, second = hosts
    run_sql(first, CHANGE, database=DATABASE)
    old, rows = revision(first), run_sql(first, ROWS, database=DATABASE)
    assert second.address in first.run(["backendai-ctl", "upgrade-check"]).stdout
    began = [starts(host) for host in hosts]
    with steps("upgrade both"), ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: apt(host, "install", *files(dist, _NEW)), hosts))
    for host in hosts:
        check_consistent(host)
        guide.wait_for_answer(host)
        assert not host.failed_units()
    assert revision(first) != old
    assert run_sql(first, ROWS, database=DATABASE) == rows
    assert len(dumps(first)) + len(dumps(second)) == 1
    assert [starts(host) for host in hosts] == [count + 1 for count in began]
