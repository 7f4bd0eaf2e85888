"""Packages of an older revision upgraded: rights come, and none of an administrator's goes.

The older ones are those of BUILDER_FORMER_DIST: revision 1 of 26.9.6 seeded no roles.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.verify.hosts import Host, HostSetup
from tests.integration import guide
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import MOUNT, Dist, NoPackagesError
from tests.integration.dnf import become_distribution, dnf, make_repository
from tests.integration.former import have_former
from tests.integration.images import Images, Suite
from tests.integration.roles import VARIANTS, Row, read_rows, roles_held
from tests.integration.steps import Steps
from tests.integration.stores import run_sql, start_stores
from tests.integration.upgrades import DATABASE

pytestmark = [pytest.mark.docker, pytest.mark.full]

_PACKAGES = tuple(f"backendai-{name}" for name in ("common", "manager", "storage-proxy", "client"))
_VOLUME = "local:volume1"
_REFUSED = 1
# A fixture's account is activated. A project's rights, a role with a permission, a permission of
# a role that the manager made, and who has such a role: each is an administrator's decision.
_CHANGES = """
UPDATE users SET status = 'active' WHERE username = 'user';
UPDATE keypairs SET is_active = true FROM users
 WHERE users.uuid = keypairs."user" AND users.username = 'user';
UPDATE groups SET allowed_vfolder_hosts = '{"nas:own": ["upload-file"]}' WHERE name = 'monitor';
INSERT INTO roles (name, source, scope_type, scope_id)
SELECT 'auditor', 'custom', 'domain', id FROM domains WHERE name = 'default';
INSERT INTO permissions (role_id, entity_type, permission)
SELECT id, 'vfolder', 1 FROM roles WHERE name = 'auditor';
INSERT INTO user_roles (user_id, role_id)
SELECT users.uuid, roles.id FROM users, roles WHERE username = 'kim' AND roles.name = 'auditor';
DELETE FROM permissions WHERE entity_type = 'session'
   AND role_id IN (SELECT id FROM roles WHERE name LIKE 'project_member-%');
DELETE FROM user_roles
 WHERE role_id IN (SELECT id FROM roles WHERE name LIKE 'project_member-%');
"""
_TABLES = ("roles", "permissions", "user_roles", "groups")
_KEYS = """
SELECT access_key, secret_key FROM keypairs JOIN users ON users.uuid = keypairs."user"
 WHERE username = '{name}'
"""
Upgrade = Callable[[], str]
Tables = Mapping[str, Mapping[str, Row]]


@dataclass(frozen=True, kw_only=True)
class Former:
    """A host that the older packages run on, and how its package manager upgrades them."""

    host: Host
    upgrade: Upgrade


@contextmanager
def _by_apt(engine: docker.DockerClient, images: Images, dist: Dist, _: Path) -> Iterator[Former]:
    old, new = _both(dist, PackageFormat.DEB)
    image = images.stores(Suite.TRIXIE)
    setup = HostSetup(image=image, name="former-deb", mounts={dist.folder: MOUNT})
    with Host(engine, setup) as host:
        refresh_lists(host)
        start_stores(host, Suite.TRIXIE)
        apt(host, "install", *(f"{MOUNT}/{name}" for name in old))
        files = [f"{MOUNT}/{name}" for name in new]
        yield Former(host=host, upgrade=lambda: apt(host, "install", *files))


@contextmanager
def _by_dnf(
    engine: docker.DockerClient, images: Images, dist: Dist, scratch: Path
) -> Iterator[Former]:
    old, new = _both(dist, PackageFormat.RPM)
    setup = HostSetup(image=images.rpm(), name="former-rpm", mounts={dist.folder: MOUNT})
    with Host(engine, setup) as host:
        become_distribution(host, [*old, *new], scratch)
        start_stores(host, Suite.TRIXIE)
        make_repository(host, old)
        dnf(host, "install", *_PACKAGES)

        def upgrade() -> str:
            make_repository(host, new)
            return dnf(host, "--refresh", "upgrade")

        yield Former(host=host, upgrade=upgrade)


def _both(dist: Dist, kind: PackageFormat) -> tuple[list[str], list[str]]:
    """The older packages and those under test; skips where there are no older ones."""
    try:
        return have_former(dist, kind, *_PACKAGES), dist.names(kind, *_PACKAGES)
    except NoPackagesError as error:
        pytest.skip(f"{error.message}; {error.hint}")


@pytest.fixture(params=[_by_apt, _by_dnf], ids=["deb", "rpm"])
def former(
    engine: docker.DockerClient,
    images: Images,
    dist: Dist,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Former]:
    """The older packages at work, on stores that they have seeded."""
    opened: AbstractContextManager[Former] = request.param(engine, images, dist, tmp_path)
    with opened as found:
        guide.wait_until_filled(found.host)
        guide.wait_for_answer(found.host)
        yield found


def test_roles_and_rights_come_and_the_admins_stay(former: Former, steps: Steps) -> None:
    """To accounts and projects that have none, by an upgrade alone."""
    host = former.host
    _administer(host)
    held = roles_held(host)
    assert not held["user"]
    assert not held["admin"]
    assert held["kim"]
    assert _make_folder(host, "user") == _REFUSED
    before = _read_tables(host)
    with steps("upgrade"):
        printed = former.upgrade()
    assert "error" not in printed.lower(), printed
    guide.wait_until_filled(host)
    host.run(["backendai-ctl", "status", "--wait", "300"], timeout=320)
    after = _read_tables(host)
    _check_kept(before, after)
    _check_given(before, after)
    held = roles_held(host)
    assert all(held.values()), held
    readable, every = map(int, run_sql(host, VARIANTS, database=DATABASE).split())
    assert readable == every > 0
    for name in ("user", "kim"):
        assert _make_folder(host, name) == 0, name
    assert not host.failed_units()


def _administer(host: Host) -> None:
    """What an administrator has done in the meantime, by the client and by SQL."""
    account = guide.read_account(host)
    keys = account["access_key"], account["secret_key"]
    words = ("admin", "user", "add", "--username", "kim", "default", "kim@example.com")
    assert _client(host, keys, *words, "a-passw0rd") == 0
    assert _client(host, keys, "admin", "group", "add", "default", "research") == 0
    run_sql(host, _CHANGES, database=DATABASE)


def _client(host: Host, keys: tuple[str, str], *words: str) -> int:
    """Call the packaged client with an account's keys; its exit status."""
    env = {
        "HOME": "/tmp",
        "BACKEND_ENDPOINT": guide.ADDRESS.rstrip("/"),
        "BACKEND_ENDPOINT_TYPE": "api",
        "BACKEND_ACCESS_KEY": keys[0],
        "BACKEND_SECRET_KEY": keys[1],
    }
    return host.run(["backend.ai", *words], user="nobody", env=env, check=False).status


def _make_folder(host: Host, name: str) -> int:
    """The status of a person's client that creates a folder on the volume."""
    access, secret = run_sql(host, _KEYS.format(name=name), database=DATABASE).strip().split("|")
    return _client(host, (access, secret), "vfolder", "create", f"of-{name}", _VOLUME)


def _read_tables(host: Host) -> Tables:
    return {table: read_rows(host, table) for table in _TABLES}


def _check_kept(before: Tables, after: Tables) -> None:
    """Older rows are as they were, and older roles got neither members nor permissions."""
    for table in ("roles", "permissions", "user_roles"):
        changed = {key for key, row in before[table].items() if after[table].get(key) != row}
        assert not changed, (table, changed)
    older = before["roles"].keys()
    for table in ("permissions", "user_roles"):
        added = [row for key, row in after[table].items() if key not in before[table]]
        assert added
        assert not [row for row in added if row["role_id"] in older], table
    own = [key for key, row in before["groups"].items() if row["name"] in ("monitor", "research")]
    assert len(own) == 2
    assert [after["groups"][key] for key in own] == [before["groups"][key] for key in own]


def _check_given(before: Tables, after: Tables) -> None:
    """Projects of the release that had no right on any volume have them."""
    lacking = {
        key: row["name"]
        for key, row in before["groups"].items()
        if not row["allowed_vfolder_hosts"] and row["name"] not in ("kim", "research")
    }
    assert "default" in lacking.values()
    for key, name in lacking.items():
        assert "create-vfolder" in after["groups"][key]["allowed_vfolder_hosts"][_VOLUME], name
