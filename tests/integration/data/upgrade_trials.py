"""Kills the upgrade of a real database at each of its steps, and at any time.

Run by the manager's CPython, on a host with the new release and a database `backend_old` of
the old one: `upgrade_trials.py RUNS`. Each run begins with a copy of that database, is killed
with all that it has started, sometimes once more while it repairs that, and then runs to its end.
What it leaves is compared with what one undisturbed run left. Prints one JSON object.
"""
# ruff: noqa: TID251 - it runs on the host, where the builder is not

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from seed_trials import compare, rows, sql  # type: ignore[import-not-found]  # beside it there

COMMAND = ["backendai-ctl", "upgrade", "--no-start", "manager"]
LOG = Path("/var/lib/backendai/upgrade/manager.log")
SECONDS = 300
STEP = "Running upgrade "
RESET = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname IN ('backend', 'backend_old') AND pid <> pg_backend_pid();
DROP DATABASE IF EXISTS backend;
CREATE DATABASE backend TEMPLATE backend_old OWNER backend;
"""
# What a migration makes anew each time: when it ran, and names with a bit of an id in them.
TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+(\+00:00)?")
NEW_NAME = re.compile(r"-[0-9a-f]{8}\b")
# A dump that was put back has them otherwise, and means the same.
CASTS = re.compile(r"::(character varying|text)(\[\])?|[()]")


def start() -> "subprocess.Popen[str]":
    """Begin an upgrade, in a session of its own."""
    LOG.unlink(missing_ok=True)
    return subprocess.Popen(
        COMMAND,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(process: "subprocess.Popen[str]") -> str:
    """Kill it and its children; what it said before."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    said, text = process.communicate()
    return text or said or ""


def steps_done() -> int:
    """How many steps Alembic has begun."""
    try:
        return LOG.read_text(errors="replace").count(STEP)
    except FileNotFoundError:
        return 0


def at_line(number: int) -> Callable[["subprocess.Popen[str]"], str]:
    """Kill when the tool has said that many lines."""

    def wait(process: "subprocess.Popen[str]") -> str:
        assert process.stderr is not None
        seen = [line.strip() for _, line in zip(range(number), process.stderr, strict=False)]
        kill(process)
        return f"said: {seen[-1][:50] if seen else ''}"

    return wait


def at_step(number: int) -> Callable[["subprocess.Popen[str]"], str]:
    """Kill when Alembic has begun that step."""

    def wait(process: "subprocess.Popen[str]") -> str:
        while steps_done() < number and process.poll() is None:
            time.sleep(0.005)
        kill(process)
        return f"step {number}"

    return wait


def after(seconds: float) -> Callable[["subprocess.Popen[str]"], str]:
    """Kill at that time."""

    def wait(process: "subprocess.Popen[str]") -> str:
        time.sleep(seconds)
        kill(process)
        return "some time"

    return wait


def finish() -> tuple[int, str, float]:
    """An upgrade to its end: its status, what it said, how long it took."""
    begin = time.monotonic()
    process = start()
    _, said = process.communicate(timeout=SECONDS)
    return process.returncode, said, time.monotonic() - begin


def schema() -> list[str]:
    """Every object of the database but those of this tool."""
    command = ["runuser", "-u", "postgres", "--", "pg_dump", "--schema-only", "--schema=public"]
    done = subprocess.run(
        [*command, "backend"], capture_output=True, text=True, check=True, cwd="/"
    )
    # Newer ones begin and end with a word that is another one each time.
    return [line for line in done.stdout.splitlines() if "restrict" not in line]


def state() -> dict[str, list[str]]:
    """What two upgrades of one database have in common."""
    return {
        "rows": sorted(NEW_NAME.sub("-(new)", TIME.sub("(time)", row)) for row in rows()),
        "schema": sorted(CASTS.sub("", line) for line in schema()),
    }


def prune() -> None:
    """No run finds the dumps of the one before."""
    for path in Path("/var/lib/backendai/backup").glob("*.dump*"):
        path.unlink()


def trials(runs: int, seed: int) -> dict[str, object]:
    """As the module says."""
    source = random.Random(seed)
    sql(RESET)
    status, said, took = finish()
    if status:
        sys.exit(said)
    wanted, lines, steps = state(), len(said.splitlines()), steps_done()
    chosen = [at_line(number) for number in range(1, lines)]
    chosen += [at_step(number) for number in range(1, steps + 1)]
    if runs < len(chosen):  # some of all of it, from the first to the last
        chosen = [chosen[number * (len(chosen) - 1) // max(1, runs - 1)] for number in range(runs)]
    problems: list[str] = []
    where: dict[str, int] = {}
    twice = 0
    for number in range(runs):
        prune()
        sql(RESET)
        is_random = number >= len(chosen) and number % 2
        ending = after(source.uniform(0.2, took)) if is_random else chosen[number % len(chosen)]
        moment = ending(start())
        where[moment] = where.get(moment, 0) + 1
        if source.random() < 0.4:  # killed again while it repairs the first
            twice += 1
            after(source.uniform(0.2, took))(start())
        status, said, _ = finish()
        name = f"run {number}, killed at {moment!r}"
        if status:
            problems.append(f"{name}: ended with {status}: {said[-600:]}")
        else:
            problems += compare(name, state(), wanted)
        sys.stderr.write(f"{number}: {len(problems)} problems: killed at {moment}\n")
        sys.stderr.flush()
    return {
        "runs": runs,
        "twice": twice,
        "steps": steps,
        "undisturbed_s": round(took, 1),
        "killed_at": where,
        "problems": problems,
    }


if __name__ == "__main__":
    os.chdir("/")
    sql("ALTER SYSTEM SET fsync = off")
    sql("SELECT pg_reload_conf()")
    sys.stdout.write(json.dumps(trials(int(sys.argv[1]), seed=1)) + "\n")
