"""Questions to file systems that may never answer, and what is mounted."""

import os
import threading
import time
from pathlib import Path

from backendai_ctl.base.layout import Layout
from backendai_ctl.base.mounts import (
    ask_in_time,
    folder_problem,
    list_mounts,
    mount_of,
    planned_mounts,
)


def test_a_question_that_is_never_answered_ends() -> None:
    never = threading.Event()
    assert ask_in_time(lambda: str(never.wait()), seconds=0.2) is None


def test_an_answer_and_an_error_arrive(tmp_path: Path) -> None:
    assert ask_in_time(lambda: "grüße") == "grüße"
    assert ask_in_time((tmp_path / "none").read_text) == "no such file or directory"
    assert ask_in_time(lambda: str(1 // 0)) == (
        "failed: ZeroDivisionError('integer division or modulo by zero')"
    )
    assert folder_problem(tmp_path) == ""
    assert folder_problem(tmp_path / "none") == "no such folder"


def test_a_child_that_was_killed_leaves_no_process(tmp_path: Path) -> None:
    mark = tmp_path / "pid"

    def hang() -> str:
        mark.write_text(str(os.getpid()))
        time.sleep(600)
        return ""

    assert ask_in_time(hang, seconds=0.5) is None
    end = time.monotonic() + 10
    while Path(f"/proc/{mark.read_text()}").exists() and time.monotonic() < end:
        os.waitpid(-1, os.WNOHANG)
        time.sleep(0.05)
    assert not Path(f"/proc/{mark.read_text()}").exists()


def test_an_image_that_is_built_has_not_the_mounts_of_its_build_host(layout: Layout) -> None:
    for process, point in (("1", "/srv"), ("self", "/opt")):
        path = layout.root / f"proc/{process}/mountinfo"
        path.parent.mkdir(parents=True)
        path.write_text(f"1 0 0:1 / {point} rw - ext4 disk rw\n")
    assert [mount.at for mount in list_mounts(layout)] == ["/opt"]
    (layout.root / "run/systemd/system").mkdir(parents=True)
    assert [mount.at for mount in list_mounts(layout)] == ["/srv"]


def test_mounts_of_the_kernel_and_of_fstab(layout: Layout) -> None:
    path = layout.root / "proc/self/mountinfo"
    path.parent.mkdir(parents=True)
    path.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\nbroken\n"
        "23 22 0:5 / /mnt/a\\040b ro,noexec shared:1 master:2 - nfs4 s:/v rw\n"
    )
    mounts = list_mounts(layout)
    found = mount_of(mounts, "/mnt/a b/volume1")
    assert found is not None
    assert (found.at, found.kind) == ("/mnt/a b", "nfs4")
    assert found.options == {"ro", "noexec"}
    other = mount_of(mounts, "/mnt/a bc")
    assert other is not None
    assert other.at == "/"
    (layout.root / "etc/fstab").write_text("a / ext4\nb none swap\n# c /c nfs\nd\t/mnt/d/ nfs4\n")
    assert planned_mounts(layout) == {"/mnt/d"}
