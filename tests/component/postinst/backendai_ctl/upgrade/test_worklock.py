"""Backups, restores and upgrades of a host run one after the other."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.upgrade.worklock import find_holder, work_lock

from builder.base.paths import PROJECT


def test_the_second_is_refused_and_the_first_is_named(tmp_path: Path) -> None:
    layout = Layout(root=tmp_path)
    layout.upgrades.mkdir(parents=True)
    hold = (
        "import fcntl, os, sys, time\n"
        "lock = os.open(sys.argv[1], os.O_RDONLY)\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    # Not builder.base.run, because it is to be at work meanwhile.
    with subprocess.Popen(  # noqa: TID251
        [sys.executable, "-c", hold, str(layout.upgrades), "backup", "--out", "/secret"],
        stdout=subprocess.PIPE,
        cwd=PROJECT,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(NotReadyError) as caught, work_lock(layout):
            pass
        assert f"`backendai-ctl backup` (process {other.pid}) works on" in caught.value.message
        assert "/secret" not in caught.value.message
        assert caught.value.hint
        other.kill()
    with work_lock(layout):  # the kernel let go of it
        pass


def test_an_unattended_run_waits(tmp_path: Path) -> None:
    layout = Layout(root=tmp_path)
    said: list[str] = []
    held = threading.Event()

    def work() -> None:
        with work_lock(layout):
            held.set()
            time.sleep(0.2)

    first = threading.Thread(target=work)
    first.start()
    assert held.wait(10)
    with work_lock(layout, seconds=30, say=said.append):
        first.join()
    assert len(said) == 1


def test_a_holder_that_cannot_be_seen(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        assert find_holder(descriptor, tmp_path / "none") == "another run of backendai-ctl"
        inode = os.fstat(descriptor).st_ino
        (tmp_path / "locks").write_text(
            f"1: -> FLOCK  ADVISORY  WRITE 7 08:01:{inode} 0 EOF\n"
            f"2: POSIX  ADVISORY  WRITE 8 08:01:{inode} 0 EOF\n"
            f"3: FLOCK  ADVISORY  WRITE 9 08:01:{inode} 0 EOF\n"
        )
        assert find_holder(descriptor, tmp_path) == "another program (process 9)"
    finally:
        os.close(descriptor)
