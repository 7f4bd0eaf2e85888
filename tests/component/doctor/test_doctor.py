"""The doctor: each check by fakes, how findings weigh together, what people and machines see."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.base.errors import ExitCode
from builder.cli import doctor as cli
from builder.doctor import host, network
from builder.doctor.check import (
    Status,
    found,
)


@pytest.fixture(autouse=True)
def no_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BUILDER_MIRROR", "BUILDER_PYTHON_MIRROR"):
        monkeypatch.delenv(name, raising=False)


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_tool_must_run_and_not_only_be_there(tmp_path: Path) -> None:
    good = program(tmp_path / "good", "exit 0")
    assert host.check_tool("good", lambda: good) == found("good", str(good))
    bad = program(tmp_path / "bad", "exit 3")
    check = host.check_tool("bad", lambda: bad)
    assert check.status is Status.MISSING
    assert check.detail.startswith("bad exited with 3")
    assert check.remedy == "make setup"


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("error: Failed to fetch\n  Caused by: dns error\n  Caused by: no route\n", "no route"),
        ("error: Failed\n  cause: client error (Connect)\n  cause: refused\n", "refused"),
        (
            "  \N{MULTIPLICATION SIGN} No solution found\n  ╰─▶ Because it is gone\n",
            "Because it is gone",
        ),
    ],
)
def test_the_index_check_gives_the_innermost_cause(tmp_path: Path, output: str, cause: str) -> None:
    uv = program(tmp_path / "uv", f"cat >&2 <<'X'\n{output}X\nexit 2")
    check = network.check_index(lambda: uv)
    assert (check.status, check.detail) == (Status.MISSING, cause)


def test_the_index_check_is_bounded_and_asks_for_one_thing(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    uv = program(tmp_path / "uv", f'{{ echo "$@"; env; cat; }} > {seen}')
    assert network.check_index(lambda: uv).is_ok
    text = seen.read_text(encoding="utf-8")
    assert "UV_HTTP_TIMEOUT=4" in text
    assert "UV_HTTP_RETRIES=0" in text
    assert text.startswith("pip compile")
    assert text.endswith("\nuv\n")


def test_the_real_host_can_be_examined_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDER_CACHE", str(tmp_path / "cache"))
    done = CliRunner().invoke(cli.doctor_command, ["--offline", "--json"])
    report = json.loads(done.stdout)
    assert done.exit_code == ExitCode.TOOL
    by_name = {check["name"]: check["status"] for check in report["checks"]}
    assert by_name["python"] == "ok"
    assert {"locks", "nfpm", "cache", "docker"} <= set(by_name)
    assert not (tmp_path / "cache").exists()
