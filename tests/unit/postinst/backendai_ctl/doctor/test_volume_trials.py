"""`backendai-ctl volume check`: what works on a volume, by trying it."""

import json
import os
import stat
from pathlib import Path

import pytest
from backendai_ctl import cli
from backendai_ctl.base.account import Owner
from backendai_ctl.base.layout import Layout
from backendai_ctl.doctor import volume_trials
from backendai_ctl.doctor.trial_names import trial_at
from backendai_ctl.doctor.volume_trials import Result, Verdict, try_volume

from tests.unit.postinst.conftest import caller

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="tries another account")
STRANGER = Owner(uid=54321, gid=54321)


@pytest.fixture
def volume(layout: Layout) -> Path:
    """An empty folder that is a volume, which every account can reach."""
    path = layout.root / "srv/v"
    path.mkdir(parents=True)
    for parent in path.parents:
        if parent.owner() != "root" or parent.stat().st_mode & 0o001 == 0:
            parent.chmod(stat.S_IMODE(parent.stat().st_mode) | 0o011)
    return path


def by_name(results: list[Result]) -> dict[str, Result]:
    """The rows by what was tried."""
    return {result.check: result for result in results}


def mountinfo(layout: Layout, point: str, options: str = "rw") -> None:
    """Let the kernel list one mount."""
    path = layout.root / "proc/self/mountinfo"
    path.parent.mkdir(parents=True)
    path.write_text(f"1 0 0:1 / {point} {options} - nfs4 source rw\n")


@pytest.mark.usefixtures("volume")
def test_a_folder_of_the_account_passes_and_is_left_empty(layout: Layout, volume: Path) -> None:
    results = try_volume(layout, "/srv/v", "", caller())
    failed = [result for result in results if result.verdict is Verdict.FAILED]
    assert not failed
    assert {"write", "owner", "rename", "link", "lock", "sparse", "space", "clock"} <= set(
        by_name(results)
    )
    assert "MiB free" in by_name(results)["space"].detail
    assert not list(volume.iterdir())


@NEEDS_ROOT
@pytest.mark.usefixtures("volume")
def test_a_folder_of_another_owner_fails(layout: Layout) -> None:
    found = by_name(try_volume(layout, "/srv/v", "", STRANGER))
    assert (found["write"].verdict, found["write"].detail) == (Verdict.FAILED, "permission denied")


@NEEDS_ROOT
def test_a_squashing_server_is_seen(
    layout: Layout, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of another owner than who writes them are what all_squash looks like."""
    os.chown(volume, STRANGER.uid, STRANGER.gid)
    monkeypatch.setattr(volume_trials, "_become", lambda _: None)
    found = by_name(try_volume(layout, "/srv/v", "", STRANGER))
    assert found["owner"].verdict is Verdict.FAILED
    assert found["owner"].detail.startswith("files of 54321:54321 belong to 0:0")


def test_what_is_not_mounted_is_not_tried(layout: Layout, volume: Path) -> None:
    (only,) = try_volume(layout, "/srv/v", "/srv/v", caller())
    assert (only.check, only.verdict) == ("mounted", Verdict.FAILED)
    assert not list(volume.iterdir())


@pytest.mark.usefixtures("volume")
@pytest.mark.parametrize(
    ("options", "verdict"), [("ro,relatime", Verdict.FAILED), ("rw,noexec", Verdict.WARNING)]
)
def test_options_of_the_mount(layout: Layout, options: str, verdict: Verdict) -> None:
    mountinfo(layout, "/srv/v", options)
    assert by_name(try_volume(layout, "/srv/v", "/srv/v", caller()))["options"].verdict is verdict


def test_a_server_that_hangs_is_reported_in_time(
    layout: Layout, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume_trials, "_SECONDS", 0.3)

    def hang(_: Path, __: Owner) -> str:
        trial_at(volume).mkdir()
        while True:
            os.sched_yield()

    monkeypatch.setattr(volume_trials, "_TRIALS", {"write": hang})
    found = by_name(try_volume(layout, "/srv/v", "", caller()))
    assert found["write"].detail == "no answer within 0 s"
    assert not list(volume.iterdir())


def test_what_a_killed_run_left_is_removed_and_no_trial_of_another_node(
    layout: Layout, volume: Path
) -> None:
    left, other = (volume / f".backendai-trial-{run}-0" for run in ("killed", "other"))
    for folder in (left, other):
        (folder / "sub").mkdir(parents=True)
    os.utime(left, (0, 0))
    found = try_volume(layout, "/srv/v", "", caller())
    assert {result.verdict for result in found} <= {Verdict.OK, Verdict.WARNING}
    assert list(volume.iterdir()) == [other]


@pytest.mark.usefixtures("volume")
def test_the_command_for_machines(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    layout.site.write_text('[storage]\npath = "/srv/v"\n[storage.b]\npath = "/srv/none"\n')
    base = ["--root", str(layout.root), "--as-caller", "volume", "check"]
    assert cli.main([*base, "volume1", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["ok"] is True
    assert [volume["name"] for volume in table["volumes"]] == ["volume1"]
    assert cli.main(base) == 69
    assert "b        folder" in capsys.readouterr().out
    assert cli.main([*base, "c"]) != 0
    assert "site.toml has no volume 'c'" in capsys.readouterr().err
