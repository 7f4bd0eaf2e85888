"""What the scripts of a service and of its add-ons do for both, with stand-ins on PATH."""

import os
import re
from pathlib import Path

import pytest

from builder.base.model import PackageFormat
from builder.base.run import run
from tests.unit.postinst.rendered import render, spec

HOST = "backendai-agent"
ADDON = "backendai-accelerator-mock"
# What the scripts touch on a host.
_FOLDERS = re.compile("/(opt|run|var|etc)/|/usr/lib/backendai/addons")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that stands for the target's root in the scripts, with programs that log."""
    for folder in ("bin", "run/systemd/system", "var/lib/backendai/generated", "etc/backend.ai"):
        (tmp_path / folder).mkdir(parents=True)
    python = tmp_path / "opt/backendai/runtime/bin/python3"
    python.parent.mkdir(parents=True)
    _program(python, f'echo "tool $*" >>{tmp_path}/log')
    for name in ("systemctl", "systemd-run", "deb-systemd-invoke", "dpkg-trigger"):
        _program(tmp_path / "bin" / name, f'echo "{name} $*" >>{tmp_path}/log; echo 1')
    return tmp_path


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def script(place: Path, package: str, fmt: PackageFormat, name: str) -> Path:
    """The script, working below ``place``."""
    found = spec().packages[package]
    own = found.deb if fmt is PackageFormat.DEB else found.rpm
    source = getattr(own.scripts, name)
    assert source
    text = render(source, found, fmt)
    # In one pass: the path of ``place`` may have one of these names, too.
    text = _FOLDERS.sub(lambda found: f"{place}{found[0]}", text)
    path = place / f"{package}.{name}"
    path.write_text(text)
    return path


def call(place: Path, package: str, fmt: PackageFormat, name: str, *arguments: str) -> list[str]:
    """Run a script; what it called."""
    log = place / "log"
    log.unlink(missing_ok=True)
    path = f"{place}/bin:{os.environ['PATH']}"
    run(["sh", script(place, package, fmt, name), *arguments], env={"PATH": path})
    return log.read_text().splitlines() if log.exists() else []


def synced(calls: list[str]) -> bool:
    return any(call.startswith("tool ") and call.endswith(" addon sync agent") for call in calls)


def note(place: Path) -> Path:
    """What says that the agent is to be restarted."""
    return place / "var/lib/backendai/upgrade/agent.pending"


def test_dpkgs_trigger_syncs_and_leaves_the_restart_to_the_end(place: Path) -> None:
    calls = call(place, HOST, PackageFormat.DEB, "postinst", "triggered")
    assert synced(calls)
    assert calls[-1] == "dpkg-trigger --no-await backendai-upgrade"
    assert note(place).read_text().split() == [f"{HOST}-watcher.service", f"{HOST}.service"]
    assert not [call for call in calls if "restart" in call]


@pytest.mark.parametrize("has_addons", [False, True])
def test_a_configuration_does_the_work_of_an_interrupted_trigger(
    place: Path, has_addons: bool
) -> None:
    """dpkg forgets what it interrupted, and configures the package instead.

    Activated again, the agent's trigger would follow backendai-common's and call it once more.
    """
    if has_addons:
        (place / "usr/lib/backendai/addons").mkdir(parents=True)
    calls = call(place, HOST, PackageFormat.DEB, "postinst", "configure", "26.9.6-2")
    assert synced(calls) == has_addons
    triggers = [call for call in calls if call.startswith("dpkg-trigger ")]
    assert triggers == ["dpkg-trigger --no-await backendai-upgrade"]


def test_a_process_that_is_younger_than_its_addons_is_let_be(place: Path) -> None:
    """The note is as old as the newest file, by which the tool compares."""
    addon = place / "usr/lib/backendai/addons/mock.toml"
    addon.parent.mkdir(parents=True)
    addon.touch()
    call(place, HOST, PackageFormat.DEB, "postinst", "triggered")
    newest = max(addon.stat().st_ctime, addon.parent.stat().st_ctime)
    assert note(place).stat().st_mtime == pytest.approx(newest, abs=0.001)
    # With an upgrade of the agent itself pending, whatever runs is old.
    os.utime(note(place), (0, 0))
    call(place, HOST, PackageFormat.DEB, "postinst", "triggered")
    assert note(place).stat().st_mtime > newest


def test_dpkgs_trigger_leaves_a_stopped_service(place: Path) -> None:
    _program(place / "bin/systemctl", "echo 0")
    assert synced(call(place, HOST, PackageFormat.DEB, "postinst", "triggered"))
    assert note(place).read_text() == ""


def test_the_first_posttrans_does_the_work_of_all(place: Path) -> None:
    for addon in (ADDON, "backendai-accelerator-rocm"):
        assert call(place, addon, PackageFormat.RPM, "post", "1") == []
    calls = call(place, ADDON, PackageFormat.RPM, "posttrans", "1")
    assert synced(calls)
    assert calls[1:] == ["systemctl try-restart backendai-agent.service"]
    other = call(place, "backendai-accelerator-rocm", PackageFormat.RPM, "posttrans", "1")
    assert other == []


def test_the_services_own_posttrans_takes_the_note_first(place: Path) -> None:
    (place / "run/backendai").mkdir()
    (place / f"run/backendai/.{HOST}.posttrans").touch()
    call(place, ADDON, PackageFormat.RPM, "post", "2")
    calls = call(place, HOST, PackageFormat.RPM, "posttrans", "2")
    assert synced(calls)
    assert call(place, ADDON, PackageFormat.RPM, "posttrans", "2") == []


def test_an_upgrade_by_rpm_ends_with_the_transaction(place: Path) -> None:
    """%post notes what runs; the first %posttrans has it ended, and a later one does nothing."""
    _program(place / "bin/systemd-run", f'echo "$*" >>{place}/log; rm -f {note(place)}')
    (place / "run/backendai").mkdir()
    calls = call(place, HOST, PackageFormat.RPM, "post", "2")
    assert not [call for call in calls if "restart" in call]
    assert note(place).read_text().split() == [f"{HOST}-watcher.service", f"{HOST}.service"]
    ended, summary = call(place, HOST, PackageFormat.RPM, "posttrans", "2")
    assert ended.endswith("/usr/bin/backendai-ctl upgrade --pending")
    assert summary.endswith("/usr/bin/backendai-ctl summary")
    assert call(place, HOST, PackageFormat.RPM, "posttrans", "2") == []


def test_the_last_service_of_an_rpm_transaction_has_the_last_word(place: Path) -> None:
    (place / "run/backendai").mkdir()  # by systemd-tmpfiles, which this test has not
    names = (HOST, "backendai-webserver")
    for name in names:
        call(place, name, PackageFormat.RPM, "post", "1")
    first, last = (call(place, name, PackageFormat.RPM, "posttrans", "1") for name in names)
    assert not any("summary" in line for line in first)
    assert last[-1].endswith("/usr/bin/backendai-ctl summary")
    assert sum("summary" in line for line in last) == 1


def test_every_installation_by_dpkg_ends_with_the_summary(place: Path) -> None:
    """backendai-common shows it, when its trigger runs: once for all services."""
    calls = call(place, HOST, PackageFormat.DEB, "postinst", "configure")
    assert calls[-1] == "dpkg-trigger --no-await backendai-upgrade"


def test_an_erased_addon_puts_off_one_restart(place: Path) -> None:
    calls = call(place, ADDON, PackageFormat.RPM, "postun", "0")
    assert synced(calls)
    assert calls[1] == "systemctl stop backendai-addons-agent.timer"
    assert calls[2].startswith("systemd-run ")
    assert calls[2].endswith("systemctl try-restart backendai-agent.service")
    assert call(place, ADDON, PackageFormat.RPM, "postun", "1") == []
    (place / "opt/backendai/runtime/bin/python3").unlink()  # the service went with it
    assert call(place, ADDON, PackageFormat.RPM, "postun", "0") == []


@pytest.mark.parametrize(("origin", "stays"), [("made", False), ("found", True)])
def test_a_purge_removes_the_file_that_was_made(place: Path, origin: str, stays: bool) -> None:
    made = place / "etc/backend.ai/mock-accelerator.toml"
    made.write_text("")
    (place / "var/lib/backendai/generated" / made.name).write_text(f"{origin} 00\n")
    call(place, ADDON, PackageFormat.DEB, "postrm", "remove")
    assert made.exists()
    call(place, ADDON, PackageFormat.DEB, "postrm", "purge")
    assert made.exists() == stays
