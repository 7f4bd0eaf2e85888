"""Other programs get open files, and run as whom they are to run."""

import os
from pathlib import Path

import pytest
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.programs import Files, run_on_files

NOBODY = Owner(uid=65534, gid=65534)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_program_is_nobody_but_its_user() -> None:
    """And in no service's group, whose processes could read its environment."""
    user = Owner(uid=65534, gid=1100)
    done = run_on_files(["sh", "-c", "id -u; id -g; id -G"], seconds=20, files=Files(), user=user)
    assert done.stdout.splitlines() == ["65534", "65534", "65534 1100"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_it_reads_and_writes_what_only_root_can_open(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("dump")
    target.touch()
    for path in (source, target):
        path.chmod(0o600)
    listed = os.memfd_create("entries")
    os.write(listed, b"+list")
    with source.open("rb") as reading, target.open("wb") as writing:
        files = Files(stdin=reading.fileno(), stdout=writing.fileno(), others=(listed,))
        command = ["sh", "-c", f"cat - /proc/self/fd/{listed}; id -u"]
        done = run_on_files(command, seconds=20, files=files, user=NOBODY)
    os.close(listed)
    assert (done.status, done.stdout, done.stderr) == (0, "", "")
    assert target.read_text() == "dump+list65534\n"


def test_a_missing_or_slow_program_is_reported() -> None:
    with pytest.raises(NotReadyError, match="No such file"):
        run_on_files(["/none/such"], seconds=5, files=Files())
    with pytest.raises(NotReadyError, match=r"took longer than 0\.1 s"):
        run_on_files(["sleep", "30"], seconds=0.1, files=Files())
