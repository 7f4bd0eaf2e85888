"""Units, sysusers.d and tmpfiles.d, as systemd reads them."""

import shutil
from pathlib import Path

import pytest

from builder.run import run
from tests.unit.target.rendered import payload_text, render
from tests.unit.target.test_scripts import other

UNIT = "/usr/lib/systemd/system/backendai-manager.service"
TARGET = "/usr/lib/systemd/system/backendai.target"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"
)


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


def test_unit_waits_longer_than_the_check() -> None:
    unit = settings(payload_text(UNIT))
    bound = int(unit["ExecStartPost"][0].rpartition(" ")[2])
    assert bound < int(unit["TimeoutStartSec"][0])
    assert unit["Type"] == ["simple"]
    assert unit["WantedBy"] == ["backendai.target"]
    assert unit["PartOf"] == ["backendai.target"]
    assert unit["ConditionPathExists"] == ["/etc/backend.ai/manager.toml"]
    assert {"LimitNOFILE": ["5242880"], "LimitNPROC": ["131072"]}.items() <= unit.items()


@needs_systemd
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    units = tmp_path / "units"
    units.mkdir()
    (units / "backendai-manager.service").write_text(payload_text(UNIT))
    (units / "backendai.target").write_text(payload_text(TARGET))
    (units / "backendai-agent.service").write_text(render("systemd/service.service.j2", other()))
    result = run(
        ["systemd-analyze", "verify", "--man=no", *sorted(units.iterdir())],
        env={"SYSTEMD_UNIT_PATH": f"{units}:"},
        check=False,
    )
    # The programs are not installed here, which is all that may be said of our units.
    told = [
        line
        for line in (result.stdout + result.stderr).splitlines()
        if "backendai" in line and "is not executable" not in line
    ]
    assert told == []


@needs_systemd
def test_exposure_is_low(tmp_path: Path) -> None:
    unit = tmp_path / "backendai-manager.service"
    unit.write_text(payload_text(UNIT))
    run(["systemd-analyze", "security", "--offline=yes", "--threshold=40", "--no-pager", unit])


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="needs systemd-sysusers")
def test_sysusers_makes_the_account(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/sysusers.d"
    folder.mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (folder / "backendai.conf").write_text(payload_text("/usr/lib/sysusers.d/backendai.conf"))
    run(["systemd-sysusers", f"--root={tmp_path}"])
    passwd = (tmp_path / "etc/passwd").read_text()
    assert passwd.startswith("backendai:x:1100:1100:Backend.AI services:/var/lib/backendai:")
    assert (tmp_path / "etc/group").read_text().startswith("backendai:x:1100:")


def test_shared_folders_belong_to_root() -> None:
    """A folder of the account would let a service swap what root keeps in it."""
    lines = [
        line.split()
        for line in payload_text("/usr/lib/tmpfiles.d/backendai.conf").splitlines()
        if line and not line.startswith("#")
    ]
    assert {line[1] for line in lines} >= {"/etc/backend.ai", "/var/lib/backendai/secrets"}
    assert {line[3] for line in lines} == {"root"}
    assert all(line[2] in ("0750", "0755", "0640") for line in lines)
