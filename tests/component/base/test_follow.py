"""Following a long command: its log, its lines, its end."""

import sys
import threading
import time
from pathlib import Path

import pytest

from builder.base import run
from builder.base.errors import StorageError, ToolError


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def test_lines_are_seen_and_kept_in_order(tmp_path: Path) -> None:
    log_file = tmp_path / "log"
    log_file.write_text("before\n")
    seen: list[str] = []
    script = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    run.follow(
        run.Command(words=python(script), cwd=tmp_path), log_file=log_file, on_line=seen.append
    )
    assert seen == ["out\n", "err\n"]
    assert log_file.read_text() == "before\nout\nerr\n"


def test_a_failure_shows_its_end_and_names_the_log(tmp_path: Path) -> None:
    log_file = tmp_path / "log"
    script = "print(*range(100), sep='\\n'); raise SystemExit(3)"
    with pytest.raises(ToolError) as caught:
        run.follow(run.Command(words=python(script), cwd=tmp_path), log_file=log_file)
    assert "exited with 3" in caught.value.message
    assert caught.value.message.endswith("\n  98\n  99")
    assert "\n  59\n" not in caught.value.message
    assert caught.value.hint == f"the whole log is {log_file}"
    assert log_file.read_text().startswith("0\n1\n")


def test_a_full_disk_is_no_fault_of_the_compiler(tmp_path: Path) -> None:
    script = "print('x.s: final close failed: No space left on device'); raise SystemExit(1)"
    with pytest.raises(StorageError, match="No space left on device"):
        run.follow(run.Command(words=python(script), cwd=tmp_path), log_file=tmp_path / "log")


def test_environment_folder_and_input_are_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CFLAGS", "-Ohno")
    script = "import os, sys; print(os.getcwd(), os.environ.get('CFLAGS'), os.environ['X'],"
    script += " repr(sys.stdin.read()))"
    seen: list[str] = []
    command = run.Command(words=python(script), cwd=tmp_path, env={"X": "1"})
    run.follow(command, log_file=tmp_path / "log", on_line=seen.append)
    assert seen == [f"{tmp_path} None 1 ''\n"]


def test_an_interrupt_ends_the_whole_family(tmp_path: Path) -> None:
    script = "import os, time; child = os.fork()\n"
    script += "if not child: time.sleep(60)\n"
    script += "print(os.getpid(), child, flush=True); time.sleep(60)"
    family: list[int] = []

    def interrupt(line: str) -> None:
        family.extend(map(int, line.split()))
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run.follow(
            run.Command(words=python(script), cwd=tmp_path),
            log_file=tmp_path / "log",
            on_line=interrupt,
        )
    assert time.monotonic() - start < 30
    for pid in family:
        assert not _runs(pid)


def test_a_followed_program_is_ended_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.base.run._stopping", threading.Event())
    command = run.Command(words=python("import time; print('up', flush=True); time.sleep(60)"))
    start = time.monotonic()
    with pytest.raises(ToolError, match="killed by signal 15"):
        run.follow(command, log_file=tmp_path / "log", on_line=lambda _line: run.stop_children())
    assert time.monotonic() - start < 30
    with pytest.raises(ToolError, match="is being interrupted"):
        run.follow(command, log_file=tmp_path / "log")


def test_what_is_to_be_hidden_is_in_no_message(
    tmp_path: Path,
) -> None:
    script = "import sys; print(sys.argv[1]); raise SystemExit(1)"
    command = run.Command(words=[*python(script), "s3cret"], hide=("s3cret",))
    with pytest.raises(ToolError) as followed:
        run.follow(command, log_file=tmp_path / "log")
    with pytest.raises(ToolError) as waited_for:
        run.run(command)
    for error in (followed.value, waited_for.value):
        assert "s3cret" not in error.message
        assert "***" in error.message


def _runs(pid: int) -> bool:
    """Whether the process is alive; one that waits to be collected is not."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.05)
    return True


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot run /nowhere/make: No such file"):
        run.follow(run.Command(words=["/nowhere/make"], cwd=tmp_path), log_file=tmp_path / "log")
    assert list(tmp_path.iterdir()) == []
