"""Every older line: filled on a clean host, used, and upgraded with data, step by step."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.version import Version

from builder.base.paths import PKGSPEC
from builder.spec import ReleaseSpec, load_spec
from builder.verify.hosts import Host
from tests.integration import guide
from tests.integration.apt import apt
from tests.integration.dist import Dist
from tests.integration.roles import roles_held
from tests.integration.steps import Steps
from tests.integration.stores import run_sql
from tests.integration.upgrades import (
    check_consistent,
    check_files,
    check_kept,
    dumps,
    files,
    install,
    revision,
)

pytestmark = [pytest.mark.docker, pytest.mark.full]

_DATABASE = "backend"
_TRIAL = Path(__file__).parent / "data" / "account_trial.py"
_ACCOUNT = "/root/account.json"
_TIMEOUT_S = 300
_GOOD = {"password": 200, "wrong": 401, "keys": 200}
_ALLOW = "/etc/backend.ai/allow-upgrade"
_ASKS_FOR_ROLES = Version("26.3")
_ACTIVE = """
SELECT role FROM users WHERE status = 'active';
SELECT count(*) FROM keypairs WHERE is_active;
"""
_HAS_PUBLIC = """
SELECT count(*) FROM keypairs WHERE access_key LIKE '%EXAMPLE'
"""


@dataclass(frozen=True, kw_only=True)
class Way:
    """What a release is upgraded to, one after the other; and what refuses it."""

    begin: str
    steps: Sequence[str]
    refused: Sequence[str]


def find_ways(releases: Iterable[ReleaseSpec]) -> list[Way]:
    """From the newest release of each line but the default one, as the releases' files say.

    A release that no other upgrades from has no steps, and is refused by all.
    """
    newest = {line_of(release.version): release for release in sorted(releases, key=_order)}
    default = next(release for release in newest.values() if release.default)
    return [
        Way(
            begin=release.version,
            steps=[step.version for step in _steps(release, default, newest.values())],
            refused=[
                other.version
                for other in newest.values()
                if _order(other) > _order(release) and line not in other.upgrades_from
            ],
        )
        for line, release in newest.items()
        if release is not default
    ]


def line_of(version: str) -> str:
    """As the target's tool names it, and `upgrades-from` does: 23.9 of 23.9.10."""
    return ".".join(map(str, Version(version).release[:2]))


def _order(release: ReleaseSpec) -> Version:
    return Version(release.version)


def _steps(
    begin: ReleaseSpec, end: ReleaseSpec, releases: Iterable[ReleaseSpec]
) -> Sequence[ReleaseSpec]:
    """The shortest way to ``end``; none where there is no way."""
    ways: list[list[ReleaseSpec]] = [[begin]]
    for way in ways:
        if way[-1] is end:
            return way[1:]
        ways += [
            [*way, release]
            for release in releases
            if release not in way and line_of(way[-1].version) in release.upgrades_from
        ]
    return []


WAYS = find_ways(load_spec(PKGSPEC).releases.values())
DIRECT = [way for way in WAYS if len(way.steps) == 1]


def try_account(host: Host) -> Mapping[str, int]:
    """What the manager says to the superadmin's password, a wrong one, and the keys."""
    host.write(_ACCOUNT, json.dumps(guide.read_account(host)), mode=0o600)
    host.copy_in(_TRIAL, "/root/account_trial.py")
    python = f"{guide.PREFIX}/bin/python3 -I -B"
    found: dict[str, int] = json.loads(
        host.run(f"{python} /root/account_trial.py <{_ACCOUNT}").stdout
    )
    return found


def check_filled(host: Host) -> None:
    """Only the superadmin can get in, and nobody by what is public knowledge."""
    assert try_account(host) == _GOOD
    assert run_sql(host, _ACTIVE, database=_DATABASE).split() == ["superadmin", "1"]
    assert run_sql(host, _HAS_PUBLIC, database=_DATABASE).strip() == "0"
    result = host.run(["backendai-ctl", "check-config", "manager"])
    assert "warning" not in result.stdout + result.stderr


def check_roles(host: Host, version: str) -> None:
    """Every account has a role once seeding has ended, in a line that asks for roles."""
    guide.wait_until_filled(host)
    if Version(version) >= _ASKS_FOR_ROLES:
        held = roles_held(host)
        assert {"admin", "user"} <= held.keys()
        assert all(held.values()), held


def check_refused(host: Host, dist: Dist, version: str) -> None:
    """The package manager leaves all as it is, and says why."""
    before = installed(host)
    command = ["apt-get", "-y", "-q", "install", *files(dist, version)]
    tried = host.run(command, check=False, timeout=_TIMEOUT_S)
    assert tried.status != 0
    assert "skips releases" in tried.stdout + tried.stderr
    assert installed(host) == before
    assert guide.get(host).startswith("200 ")


def installed(host: Host) -> str:
    """The versions of the packages, and what state they are in."""
    shown = "--showformat=${Package} ${Version} ${db:Status-Status}\n"
    return host.run(["dpkg-query", "--show", shown, "backendai-*"]).stdout


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.begin)
def test_a_line_is_filled_and_upgraded(host: Host, dist: Dist, steps: Steps, way: Way) -> None:
    """Installed and used; too far a step refused; then each step with an operator's data."""
    for version in (*way.steps, *way.refused):
        files(dist, version)  # skips here, not after minutes
    with steps(f"install {way.begin}"):
        install(host, dist, way.begin)
    check_filled(host)
    check_roles(host, way.begin)
    for version in way.refused:
        with steps(f"{version} refuses"):
            check_refused(host, dist, version)
    for count, version in enumerate(way.steps, start=1):
        old = revision(host)
        with steps(f"upgrade to {version}"):
            apt(host, "install", *files(dist, version))
            guide.wait_for_answer(host)
        check_consistent(host)
        assert revision(host) != old
        assert len(dumps(host)) == count
        check_kept(host)
        check_files(host)
        check_roles(host, version)
        assert try_account(host) == _GOOD


@pytest.mark.parametrize("way", DIRECT, ids=lambda way: way.begin)
def test_a_line_is_gone_back_to(host: Host, dist: Dist, steps: Steps, way: Way) -> None:
    """To the newest release and back, by the dump that the upgrade made."""
    old, (new,) = way.begin, way.steps
    files(dist, new)
    with steps(f"install {old}"):
        install(host, dist, old)
    before = revision(host)
    with steps(f"upgrade to {new}"):
        apt(host, "install", *files(dist, new))
        guide.wait_for_answer(host)
    (dump,) = dumps(host)
    with steps(f"back to {old}"):
        host.run(["touch", _ALLOW])
        apt(host, "install", "--allow-downgrades", *files(dist, old))
        host.run(["rm", _ALLOW])
        assert guide.get(host) == ""  # down: its database is of a newer release
        host.run(["backendai-ctl", "restore", "--yes", dump], timeout=_TIMEOUT_S)
        guide.wait_for_answer(host)
    check_consistent(host)
    assert revision(host) == before
    check_kept(host)
    check_filled(host)
