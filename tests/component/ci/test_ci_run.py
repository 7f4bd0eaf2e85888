"""`.ci/run` with a stand-in for make: what runs beside what, and how it ends."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from builder.base.paths import PROJECT
from builder.base.run import Result, run

# Each call is noted when it begins and ends; a target of FAILS fails, and one of HANGS goes on.
_MAKE = """#!/bin/sh
for target; do :; done
echo "begin $target" >>"$LOG"
echo "$target says this"
case " $HANGS " in *" $target "*) echo $$ >"$LOG.pid"; exec sleep 60 ;; esac
case " $WAITS " in *" $target "*) until grep -q "begin $FOR" "$LOG"; do sleep 0.05; done ;; esac
echo "end $target" >>"$LOG"
case " $FAILS " in *" $target "*) exit 7 ;; esac
"""
_ORDER = ["setup-dev", "type", "packages", "packages", "PART=hosts"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A project with the scripts of CI, on a machine whose user is not root."""
    shutil.copytree(PROJECT / ".ci", tmp_path / ".ci")
    for name, text in {"make": _MAKE, "id": "#!/bin/sh\necho 1000\n"}.items():
        path = tmp_path / "tools" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


def settings(place: Path, **more: str) -> dict[str, str]:
    """The environment of a run."""
    path = f"{place / 'tools'}:{os.environ['PATH']}"
    none = {"FAILS": "", "HANGS": "", "WAITS": "", "FOR": ""}
    return {"PATH": path, "LOG": str(place / "log"), **none, **more}


def call(place: Path, **more: str) -> Result:
    """Run it to its end."""
    return run([place / ".ci/run"], env=settings(place, **more), check=False)


def begun(place: Path) -> list[str]:
    """The targets in their order, but for what runs beside the others."""
    lines = [line.split() for line in (place / "log").read_text().splitlines()]
    return [name for word, name in lines if word == "begin" and name != "PART=local"]


def test_what_needs_no_host_runs_beside_the_hosts(place: Path) -> None:
    """Each waits here for the beginning of the other."""
    done = call(place, WAITS="PART=local", FOR="PART=hosts")
    assert done.status == 0, done.stdout + done.stderr
    assert begun(place) == _ORDER
    assert "local ended with status 0" in done.stdout
    assert "PART=local says this" in done.stdout


def test_a_failure_beside_the_hosts_is_shown_and_fails_the_run(place: Path) -> None:
    done = call(place, FAILS="PART=local")
    assert done.status != 0
    assert begun(place) == _ORDER
    assert re.search(r"== local ended with status 7 .*\nPART=local says this\n", done.stdout)
    assert "== done" in done.stdout


def test_hosts_that_fail_do_not_hide_what_ran_beside_them(place: Path) -> None:
    done = call(place, FAILS="PART=hosts", WAITS="PART=local", FOR="PART=hosts")
    assert done.status != 0
    assert "local ended with status 0" in done.stdout


def test_the_first_failure_of_what_all_need_ends_the_run(place: Path) -> None:
    assert call(place, FAILS="packages").status == 7
    assert begun(place) == ["setup-dev", "type", "packages"]


def test_what_runs_beside_is_ended_with_the_run(place: Path) -> None:
    child = subprocess.Popen(  # noqa: TID251
        [place / ".ci/run"],
        env=settings(place, HANGS="PART=local", WAITS="PART=hosts", FOR="nothing"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    noted = place / "log.pid"
    while not (noted.exists() and noted.read_text().strip() and "PART=hosts" in begun(place)):
        assert child.poll() is None
        time.sleep(0.05)
    # As a terminal does: what runs beside is in a group of its own.
    os.killpg(child.pid, signal.SIGINT)
    child.wait(timeout=60)
    # It was sent the signal; on a busy machine it has not come to its end yet.
    ended = time.monotonic()
    while is_running(noted.read_text().strip()):
        assert time.monotonic() - ended < 30
        time.sleep(0.05)


def is_running(pid: str) -> bool:
    """Whether the process has not ended; whose child it became may not have asked yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
