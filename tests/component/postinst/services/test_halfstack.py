"""The halfstack: where it listens, what it refuses, and its script against fake tools."""

import os
from pathlib import Path

import pytest

from builder.base.paths import PROJECT
from builder.base.run import Result, run

SCRIPT = PROJECT / "postinst/services/halfstack/run"
FAKE_DOCKER = """#!/bin/sh
echo "$*" >>"$LOG"
case "$*" in
    "compose version") [ "$FAKE" != v1 ] ;;
    version*) [ "$FAKE" != off ] ;;
    "image inspect"*) [ "$FAKE" != unpulled ] ;;
    pull*) exit 1 ;;
    *) true ;;
esac
"""


def call(folder: Path, fake: str, *words: str) -> Result:
    """Run the script with a docker that behaves as set up; its calls are in folder/log."""
    for name in ("docker", "docker-compose"):
        (folder / name).write_text(FAKE_DOCKER)
        (folder / name).chmod(0o755)
    (folder / "halfstack.yml").write_text('  image: "some/image:1"\n')
    (folder / "halfstack-redis.conf").touch()
    env = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "LOG": str(folder / "log"),
        "FAKE": fake,
        "BACKENDAI_HALFSTACK": str(folder / "halfstack.yml"),
    }
    return run(["sh", SCRIPT, *words], env=env, check=False)


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        ("off", "error: Docker does not answer"),
        ("unpulled", "error: cannot pull the image some/image:1"),
    ],
)
def test_what_is_missing_is_reported(tmp_path: Path, fake: str, message: str) -> None:
    result = call(tmp_path, fake, "prepare")
    assert result.status == 69
    assert message in result.stderr
    assert "hint: " in result.stderr


@pytest.mark.parametrize(("fake", "program"), [("v1", ""), ("v2", "compose ")])
def test_either_compose_is_used(tmp_path: Path, fake: str, program: str) -> None:
    assert call(tmp_path, fake, "prepare").status == 0
    options = f"--ansi never --project-name backendai-halfstack --file {tmp_path}/halfstack.yml"
    wanted = f"{program}{options} config"
    assert wanted in (tmp_path / "log").read_text()


def test_a_wrong_word_is_refused(tmp_path: Path) -> None:
    result = call(tmp_path, "v2", "dance")
    assert result.status == 2
    assert "usage: " in result.stderr
