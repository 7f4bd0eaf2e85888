"""What the doctor finds of a node's volume, and of the volume that Docker keeps for sessions."""

import os
from pathlib import Path

import pytest
from backendai_ctl.base.account import Owner
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.mounts import planned_mounts
from backendai_ctl.doctor.checks import (
    runner,
    volumes,
)
from backendai_ctl.doctor.examine import fix_findings
from backendai_ctl.doctor.model import Severity
from backendai_ctl.status.report import inspect_node

from tests.unit.postinst.conftest import write_agent
from tests.unit.postinst.host_views import RUNNING, Programs, host_view, said

AGENT = "backendai-agent.service"
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="tries another account")
STRANGER = Owner(uid=54321, gid=54321)


def mountinfo(layout: Layout, *mounts: tuple[str, str]) -> None:
    """What is mounted where, and of which kind."""
    path = layout.root / "proc/self/mountinfo"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"1 0 0:1 / {at} rw shared:1 - {kind} source rw" for at, kind in mounts]
    path.write_text("\n".join(lines) + "\n")


# The volume.


def test_a_good_volume_is_quiet(node: Layout) -> None:
    (node.root / "etc/fstab").write_text("# /srv/old nfs\nserver:/v /srv/v nfs4 defaults 0 0\n")
    mountinfo(node, ("/", "overlay"), ("/srv/v", "ext4"))
    assert not said(volumes.check_volume(host_view(node)))
    assert not list((node.root / "srv/v/volume1").glob(".*"))


def test_a_volume_that_is_not_mounted(node: Layout) -> None:
    (node.root / "etc/fstab").write_text("server:/v  /srv/v/  nfs4 defaults 0 0\n")
    mountinfo(node, ("/", "overlay"))
    (found,) = volumes.check_volume(host_view(node))
    assert found.severity is Severity.ERROR
    assert "/srv/v is in /etc/fstab and not mounted" in found.what
    assert found.remedy.startswith("mount /srv/v")


def test_a_recorded_mount_that_is_gone(node: Layout) -> None:
    """Nothing below the mount point is tried: it is not the volume."""
    node.mounts.parent.mkdir(parents=True, exist_ok=True)
    node.mounts.write_text("/srv/v/volume1 /srv/v\n")
    mountinfo(node, ("/", "overlay"))
    (node.root / "srv/v/volume1/version.txt").unlink()
    (found,) = volumes.check_volume(host_view(node))
    assert found.severity is Severity.ERROR
    assert found.what == "/srv/v is not mounted, so /srv/v/volume1 is not the volume"
    assert found.fix is None
    status = {each.service: each for each in inspect_node(host_view(node)).services}
    assert not status["storage-proxy"].mounted
    assert status["storage-proxy"].problems[0] == found.what
    mountinfo(node, ("/", "overlay"), ("/srv/v", "nfs4"))
    assert inspect_node(host_view(node)).services[0].mounted


def test_a_server_that_does_not_answer(node: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    node.mounts.write_text("/srv/v/volume1 /srv/v\n")
    mountinfo(node, ("/", "overlay"), ("/srv/v", "nfs4"))
    monkeypatch.setattr("backendai_ctl.base.mounts.ask_in_time", lambda *_, **__: None)
    (found,) = volumes.check_volume(host_view(node))
    assert found.what == "/srv/v/volume1: does not answer within 5 s"


def test_a_volume_of_site_toml_that_no_service_has(node: Layout) -> None:
    with node.site.open("a") as site:
        site.write('[storage.fast]\npath = "/srv/fast"\n')
    (found,) = volumes.check_volume(host_view(node))
    assert found.what.startswith("site.toml has the volume /srv/fast, and no service")


def test_blanks_of_fstab_and_mountinfo_agree(node: Layout) -> None:
    node.site.write_text('[storage]\npath = "/srv/v/volume1"\n')
    (node.root / "etc/fstab").write_text("server:/v /srv/v\\040w nfs4 defaults\n")
    assert planned_mounts(node) == {"/srv/v w"}


def test_a_missing_volume(node: Layout) -> None:
    folder = node.root / "srv/v/volume1"
    (folder / "version.txt").unlink()
    folder.rmdir()
    assert said(volumes.check_volume(host_view(node))) == [
        "error: /srv/v/volume1: the volume is missing"
    ]


def test_paths_that_differ(node: Layout) -> None:
    write_agent(node, mount="/mnt/elsewhere")
    (found,) = volumes.check_volume(host_view(node))
    assert found.where == f"{node.etc}/agent.toml: agent.mount-path"
    assert found.value == "/mnt/elsewhere"
    (node.etc / "storage-proxy.toml").write_text('[volume.volume1]\npath = "/srv/w"\n')
    (node.root / "srv/w").mkdir()
    (node.root / "srv/w/version.txt").write_text("3\n")
    found_keys = [
        finding.where.rpartition(": ")[2] for finding in volumes.check_volume(host_view(node))
    ]
    assert found_keys == ["agent.mount-path", "volume.volume1.path"]


def test_a_second_volume_is_not_a_difference(node: Layout) -> None:
    text = '[volume.volume1]\npath = "/srv/v/volume1"\n[volume.fast]\npath = "/srv/v/fast"\n'
    (node.etc / "storage-proxy.toml").write_text(text)
    (node.root / "srv/v/fast").mkdir()
    found = said(volumes.check_volume(host_view(node)))
    assert len(found) == 1
    assert found[0].startswith("error: /srv/v/fast: has no version.txt")


@NEEDS_ROOT
def test_another_owner(node: Layout) -> None:
    folder = node.root / "srv/v/volume1"
    for parent in (node.root, *node.root.parents):
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    os.chown(folder, 1, 1)
    found = {
        finding.what.partition(":")[0]: finding
        for finding in volumes.check_volume(host_view(node, account=STRANGER))
    }
    assert found["belongs to 1"].fix is None, "it holds data: the account may be what is wrong"
    assert found["backendai cannot write there"].value == "54321:54321"
    (folder / "version.txt").unlink()
    findings = list(volumes.check_volume(host_view(node, account=STRANGER)))
    done, failed = fix_findings(findings)
    assert not failed
    assert len(done) == 2
    assert folder.stat().st_uid == (folder / "version.txt").stat().st_uid == STRANGER.uid
    assert not said(volumes.check_volume(host_view(node, account=STRANGER)))


@NEEDS_ROOT
def test_a_squashed_root_on_nfs(node: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another owner than who wrote is what root_squash looks like from a node."""
    mountinfo(node, ("/", "overlay"), ("/srv/v", "nfs4"))

    def squashed(_: Path, owner: Owner) -> str:
        return "what 0 writes belongs to nobody" if owner.uid == 0 else ""

    monkeypatch.setattr(volumes, "_write_as", squashed)
    (found,) = volumes.check_volume(host_view(node, account=given_to_stranger(node)))
    assert found.severity is Severity.WARNING
    assert "root is squashed" in found.what
    assert "no_root_squash" in found.remedy


def given_to_stranger(node: Layout) -> Owner:
    """Give the volume to an account that is not root."""
    os.chown(node.root / "srv/v/volume1", STRANGER.uid, STRANGER.gid)
    return STRANGER


def test_an_older_layout_is_a_note(node: Layout) -> None:
    (node.root / "srv/v/volume1/version.txt").write_text("2\n")
    (found,) = volumes.check_volume(host_view(node))
    assert (found.severity, found.value) == (Severity.NOTE, "2")


# The kernel runner.


@pytest.fixture
def runner_volume(node: Layout) -> Path:
    """Docker's volume as the agent leaves it when unpacking fails."""
    name = "backendai-krunner.v9.x86_64.static-gnu"
    folder = node.root / "srv/docker/volumes" / name / "_data"
    folder.mkdir(parents=True)
    return folder


def docker(*, sessions: str = "", stopped: bool = False) -> Programs:
    """A Docker that answers."""
    programs = Programs()
    programs.says("docker info", "/srv/docker\n")
    programs.says("docker ps", sessions, status=int(stopped))
    for command in ("docker volume rm", "systemctl"):
        programs.says(command)
    return programs


def test_an_empty_runner_volume_is_found_and_removed(node: Layout, runner_volume: Path) -> None:
    programs = docker()
    here = host_view(node, units={AGENT: RUNNING}, programs=programs)
    (found,) = runner.check_runner_volumes(here)
    assert "lacks VERSION and bin" in found.what
    done, failed = fix_findings([found])
    assert not failed
    assert "started backendai-agent.service again" in done[0]
    assert programs.ran[-3:] == [
        f"systemctl stop {AGENT}",
        f"docker volume rm {runner_volume.parent.name}",
        f"systemctl start {AGENT}",
    ]


@pytest.mark.usefixtures("runner_volume")
@pytest.mark.parametrize("programs", [docker(sessions="0123abc\n"), docker(stopped=True)])
def test_sessions_keep_their_runner_volume(node: Layout, programs: Programs) -> None:
    (found,) = runner.check_runner_volumes(host_view(node, programs=programs))
    assert found.fix is None


def test_a_whole_runner_volume_is_quiet(node: Layout, runner_volume: Path) -> None:
    (runner_volume / "VERSION").write_text("9\n")
    (runner_volume / "bin").mkdir()
    assert "lacks bin:" in said(runner.check_runner_volumes(host_view(node, programs=docker())))[0]
    (runner_volume / "bin/python").touch()
    assert not list(runner.check_runner_volumes(host_view(node, programs=docker())))


@pytest.mark.usefixtures("runner_volume")
def test_a_remedy_that_fails_is_reported(node: Layout) -> None:
    programs = docker()
    programs.says("docker volume rm", status=1, stderr="volume is in use")
    _, failed = fix_findings(list(runner.check_runner_volumes(host_view(node, programs=programs))))
    assert "volume is in use" in failed[0]
