"""Running programs: what they get, and what is said when one fails."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from builder.base.errors import StorageError, ToolError
from builder.base.redact import redact
from builder.base.run import (
    Command,
    base_environment,
    failure_text,
    find_tool,
    run,
    stop_children,
)


def program(folder: Path, text: str, name: str = "tool") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_child_gets_a_small_environment() -> None:
    ours = {
        "PATH": "/bin",
        "HOME": "/root",
        "https_proxy": "http://proxy",
        "SSL_CERT_FILE": "/ca.pem",
        "UV_DEFAULT_INDEX": "http://index.test",
        "UV_INDEX_INTERNAL_PASSWORD": "x",
        "PYTHONPATH": "/evil",
        "PYTHONHOME": "/evil",
        "LD_LIBRARY_PATH": "/evil",
        "LD_PRELOAD": "/evil",
        "CFLAGS": "-O0",
        "UV_TARGET": "/elsewhere",
        "UV_CONSTRAINT": "mine.txt",
        "UV_EXCLUDE_NEWER": "2020-01-01",
        "LC_ALL": "ko_KR.UTF-8",
        "HOMEPAGE": "x",
    }
    assert sorted(base_environment(ours)) == [
        "HOME",
        "LC_ALL",
        "PATH",
        "SSL_CERT_FILE",
        "UV_DEFAULT_INDEX",
        "UV_INDEX_INTERNAL_PASSWORD",
        "https_proxy",
    ]
    assert base_environment(ours)["LC_ALL"] == "C.UTF-8"


def test_what_a_child_really_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/evil")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/evil")
    seen = run(["env"], env={"EXTRA": "1"}).stdout
    assert "/evil" not in seen
    assert "EXTRA=1" in seen.splitlines()
    assert run(["pwd"], cwd=tmp_path).stdout.strip() == str(tmp_path.resolve())


def test_output_and_input_are_passed() -> None:
    assert run(["cat"], stdin="text").stdout == "text"
    assert run(["cat"]).stdout == ""  # never waits for a terminal
    result = run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (result.stdout, result.stderr, result.status) == ("out\n", "err\n", 3)


def test_a_failure_says_what_ran_how_it_ended_and_its_last_lines() -> None:
    script = "seq 100; echo reason >&2; exit 7"
    with pytest.raises(ToolError) as caught:
        run(["sh", "-c", script, "https://me:secret@index.test/simple"])
    lines = caught.value.message.splitlines()
    assert lines[0].startswith("sh exited with 7: sh -c 'seq 100;")
    assert "https://me:***@index.test/simple" in lines[0]
    assert lines[-1] == "  reason"
    assert lines[1] == "  62"
    assert "secret" not in caught.value.message


def test_a_killed_child_is_distinguished_from_a_failed_one() -> None:
    with pytest.raises(ToolError, match="was killed by signal 9"):
        run(["sh", "-c", "kill -9 $$"])


def test_a_program_that_is_not_there_or_cannot_run(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"cannot run \S*/none: No such file"):
        run([tmp_path / "none"])
    (tmp_path / "plain").touch()
    with pytest.raises(ToolError, match=r"cannot run \S*/plain: Permission denied"):
        run([tmp_path / "plain"])


def test_a_full_disk_met_by_a_child_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match="No space left on device") as caught:
        run(["sh", "-c", "echo 'write: No space left on device' >&2; exit 1"])
    assert caught.value.hint


def test_bytes_that_are_no_text_do_not_break_the_report() -> None:
    with pytest.raises(ToolError, match="exited with 1"):
        run(["sh", "-c", r"printf '\377\376'; exit 1"])


def test_passwords_in_urls_are_masked() -> None:
    assert redact("http://a:b@c/ https://u:p%40q@r/s") == "http://a:***@c/ https://u:***@r/s"
    assert redact("https://token@host/simple") == "https://***@host/simple"
    assert "ss" not in redact("http://u:pa/ss@host")
    plain = "http://host:8080/path a@b.test git@host:x"
    assert redact(plain) == plain
    assert "s3cret" not in failure_text(["x"], 1, ["see ftp://u:s3cret@h/"])


def test_a_tool_is_found_by_its_variable_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, other = tmp_path / "named", tmp_path / "path"
    named.mkdir()
    other.mkdir()
    own, common = program(named, "exit 0", "zz-tool"), program(other, "exit 0", "zz-tool")
    monkeypatch.setenv("PATH", str(other))
    assert find_tool("zz-tool", variable="BUILDER_ZZ", hint="x") == common
    monkeypatch.setenv("BUILDER_ZZ", str(own))
    assert find_tool("zz-tool", variable="BUILDER_ZZ", hint="x") == own


def test_a_tool_beside_this_python_is_found_off_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = find_tool(Path(sys.executable).name, hint="x")
    assert found.parent == Path(sys.executable).absolute().parent


def test_a_command_may_have_a_umask_of_its_own() -> None:
    assert run(Command(words=["sh", "-c", "umask"], umask=0o026)).stdout.strip() == "0026"
    before = os.umask(0o022)
    os.umask(before)
    assert run(["sh", "-c", "umask"]).stdout.strip() == f"{before:04o}"


def test_a_missing_tool_comes_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ToolError, match="zz-tool not found on PATH") as caught:
        find_tool("zz-tool", variable="BUILDER_ZZ", hint="run 'make setup'")
    assert caught.value.hint == "run 'make setup'"
    (tmp_path / "plain").touch()
    for wrong in (tmp_path / "plain", tmp_path / "none", tmp_path):
        monkeypatch.setenv("BUILDER_ZZ", str(wrong))
        with pytest.raises(ToolError, match=f"BUILDER_ZZ names '{wrong}', which is not"):
            find_tool("zz-tool", variable="BUILDER_ZZ", hint="x")


def test_stopped_children_end_and_no_other_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.base.run._stopping", threading.Event())
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(run, ["sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 60"])
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").stat().st_size:
            assert not waiting.done()
            time.sleep(0.01)
        stop_children()
        with pytest.raises(ToolError, match="killed by signal 15"):
            waiting.result(timeout=10)
    with pytest.raises(ToolError, match="true was not started"):
        run(["true"])
