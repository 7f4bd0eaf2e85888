"""Units, sysusers.d and tmpfiles.d, as systemd reads them."""

import re

import pytest

from tests.unit.postinst.rendered import other, payload_text, render, scripts, spec
from tests.unit.postinst.shell.units import FOLDER, shipped_units

UNIT = "/usr/lib/systemd/system/backendai-manager.service"
TARGET = "/usr/lib/systemd/system/backendai.target"


def settings(text: str) -> dict[str, list[str]]:
    """Each setting of a unit with all its values."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";")):
            found.setdefault(key, []).append(value)
    return found


def test_unit_of_an_account_is_hardened() -> None:
    unit = settings(payload_text(UNIT))
    assert unit["User"] == ["backendai"]
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["NoNewPrivileges"] == ["yes"]
    # cffi maps writable code: with this the server does not start.
    assert "MemoryDenyWriteExecute" not in unit
    # libzmq aborts where it may not set its threads' scheduling.
    assert unit["SystemCallFilter"] == ["@system-service", "~@privileged"]


def test_unit_of_root_has_no_hardening() -> None:
    unit = settings(render("systemd/service.service.j2", other()))
    assert "User" not in unit
    assert "ProtectSystem" not in unit
    assert "PrivateTmp" not in unit
    assert "ExecStartPost" not in unit
    assert unit["ExecStart"] == ["/opt/backendai/agent/bin/run-agent"]


def test_one_secret_is_read_by_a_service() -> None:
    """Units, tmpfiles.d and the tool agree on it."""
    from backendai_ctl.answers.secretstore import READ_BY_SERVICES  # noqa: PLC0415

    folder = "/var/lib/backendai/secrets"
    shown = {
        value.removeprefix(f"-{folder}/")
        for text in shipped_units().values()
        for value in settings(text).get("BindReadOnlyPaths", [])
        if value.startswith(f"-{folder}/")
    }
    lines = payload_text("/usr/lib/tmpfiles.d/backendai.conf").splitlines()
    modes = {line.split()[1]: line.split()[2:5] for line in lines if line.startswith("z ")}
    assert modes.pop(f"{folder}/*") == ["0600", "root", "root"]
    assert modes == {f"{folder}/{name}": ["0640", "root", "backendai"] for name in READ_BY_SERVICES}
    assert shown == READ_BY_SERVICES


def test_unit_waits_longer_than_the_check() -> None:
    unit = settings(payload_text(UNIT))
    bound = int(unit["ExecStartPost"][0].rpartition(" ")[2])
    assert bound < int(unit["TimeoutStartSec"][0])
    assert unit["Type"] == ["simple"]
    assert unit["WantedBy"] == ["backendai.target"]
    assert unit["PartOf"] == ["backendai.target"]
    assert unit["ConditionPathExists"] == [
        "/etc/backend.ai/manager.toml",
        "!/var/lib/backendai/upgrade/manager.failed",
    ]
    assert {"LimitNOFILE": ["5242880"], "LimitNPROC": ["131072"]}.items() <= unit.items()


def test_unit_repeats_its_signal_for_less_than_its_stop_may_take() -> None:
    from backendai_ctl.commands.service import STOP_SECONDS  # noqa: PLC0415

    unit = settings(payload_text(UNIT))
    (program,) = unit["ExecStop"]
    assert program.endswith(f"/target stop manager --signal {unit['KillSignal'][0]}")
    assert int(unit["TimeoutStopSec"][0]) > STOP_SECONDS


def test_watcher_is_ended_by_a_signal_that_it_does_not_handle() -> None:
    watcher = settings(shipped_units()["backendai-agent-watcher.service"])
    assert watcher["KillSignal"] == ["SIGHUP"]
    assert "KillMode" not in watcher  # its worker gets the signal, too


# Shared by all services, and started by their scripts and units.
SEEDING = {
    "backendai-certificate.service",
    "backendai-certificate.timer",
    "backendai-configure.service",
    "backendai-image-rescan-retry.timer",
    "backendai-image-rescan.service",
    "backendai-seed-retry.timer",
    "backendai-seed.service",
}


@pytest.mark.parametrize(
    "name", [name for name, text in shipped_units().items() if "\nUser=" in text]
)
def test_unit_of_an_account_shows_its_own_configuration_alone(name: str) -> None:
    unit = settings(shipped_units()[name])
    service = name.removeprefix("backendai-").removesuffix(".service")
    (package,) = [
        known for known in spec().packages.values() if name in getattr(known.service, "units", ())
    ]
    assert package.service
    own = [f"-/etc/backend.ai/{file}" for file in (*package.service.config, f"{service}.d")]
    keys = ["-/var/lib/backendai/secrets/manager-rpc.key_secret"] if service == "manager" else []
    assert unit["BindReadOnlyPaths"] == [*own, "-/var/lib/backendai/trust", *keys]
    folders = ["/var/lib/backendai", "/var/log/backendai", "/run/backendai"]
    assert unit["BindPaths"] == [" ".join(f"-{folder}/{service}" for folder in folders)]
    words = [word for value in unit["TemporaryFileSystem"] for word in value.split()]
    hidden = [word.partition(":")[0] for word in words]
    assert hidden == ["/etc/backend.ai", *folders, "/dev/shm"]


def test_services_have_groups_of_their_own() -> None:
    """What reads memory of the same account asks for the same group: no two may have one."""
    groups = {}
    for name, text in shipped_units().items():
        unit = settings(text)
        if unit.get("User") == ["backendai"]:
            (groups[name],) = unit["Group"]
            others = [] if groups[name] == "backendai" else ["backendai"]
            assert unit.get("SupplementaryGroups", []) == others
    assert len(groups) == 6
    assert len(set(groups.values())) == len(groups)
    # Users' files have the account's own group, on all nodes.
    assert groups["backendai-storage-proxy.service"] == "backendai"


def test_every_unit_of_the_data_is_shipped() -> None:
    named = {
        unit
        for package in spec().packages.values()
        if package.service
        for unit in (*package.service.units, *package.service.manual_units)
    }
    assert named == set(shipped_units()) - {"backendai.target"} - SEEDING


def test_storage_proxy_may_write_to_a_volume_anywhere() -> None:
    unit = settings(payload_text(f"{FOLDER}/backendai-storage-proxy.service"))
    assert unit["ProtectSystem"][-1] == "full"  # the last one counts
    assert "ReadOnlyPaths" not in unit


def test_agent_sees_what_docker_sees() -> None:
    text = payload_text(f"{FOLDER}/backendai-agent.service")
    unit = settings(text)
    assert unit["Requires"] == ["docker.service"]
    assert "docker.service" in unit["After"]
    assert not {"User", "PrivateTmp", "ProtectSystem", "PrivateDevices"} & set(unit)
    assert unit["RuntimeDirectoryPreserve"] == ["yes"]
    # Files that it writes for a session are read by the user there.
    assert unit["UMask"][-1] == "0022"


def test_watcher_is_for_the_admin_to_enable() -> None:
    unit = settings(payload_text(f"{FOLDER}/backendai-agent-watcher.service"))
    # sudo refuses under the one, and its mounts are seen by nobody under the others.
    assert not {"NoNewPrivileges", "PrivateTmp", "ProtectSystem", "ProtectHome"} & set(unit)
    prefix = "/opt/backendai/agent/bin"
    program = f"{prefix}/python3 -m ai.backend.agent.watcher --config /etc/backend.ai/watcher.toml"
    assert unit["ExecStart"] == [f"{prefix}/run-agent {program}"]
    preset = payload_text("/usr/lib/systemd/system-preset/80-backendai.preset").splitlines()
    off = preset.index("disable backendai-agent-watcher.service")
    assert off < preset.index("enable backendai-*.service")  # the first that fits counts


def test_shared_folders_belong_to_root() -> None:
    """A folder of the account would let a service swap what root keeps in it."""
    lines = [
        line.split()
        for line in payload_text("/usr/lib/tmpfiles.d/backendai.conf").splitlines()
        if line and not line.startswith("#")
    ]
    assert {line[1] for line in lines} >= {"/etc/backend.ai", "/var/lib/backendai/secrets"}
    assert {line[3] for line in lines} == {"root"}
    assert all(line[2] in ("0750", "0755", "0640", "0600") for line in lines)


def test_who_borrows_the_managers_programs_is_stopped_before_they_go() -> None:
    borrower = "systemctl stop backendai-image-rescan.service"
    found = {
        (package, name)
        for package, _, name, text in scripts()
        if any(line.strip().startswith(borrower) for line in text.splitlines())
        and re.search(r"^\s*stop_borrowing$", text, re.MULTILINE)
    }
    assert found == {("backendai-manager", name) for name in ("preinst", "prerm", "pre", "preun")}


def test_the_units_that_borrow_exist() -> None:
    shipped = {entry.target for package in spec().packages.values() for entry in package.payload}
    for package in spec().packages.values():
        for unit in package.service.borrowing_units if package.service else ():
            assert f"{FOLDER}/{unit}" in shipped


def test_what_a_login_needs_starts_first() -> None:
    """Every other service is ordered after both, and nothing waits in a circle."""
    first = {"backendai-manager.service", "backendai-webserver.service"}
    servers = {unit for member in spec().packages.values() for unit in _servers(member.service)}
    after = {
        name: {unit for value in settings(text).get("After", []) for unit in value.split()}
        for name, text in shipped_units().items()
    }
    assert first < servers
    helpers = {"backendai-graphql.service", "backendai-halfstack.service"}
    for unit in servers - first - helpers:
        assert after[unit] >= first, unit
    left = dict(after)
    while left:
        free = [unit for unit, others in left.items() if not others & left.keys()]
        assert free, left.keys()
        for unit in free:
            del left[unit]


def _servers(service: object) -> tuple[str, ...]:
    """The units of a service that an installation starts."""
    return tuple(getattr(service, "units", ()))
