"""Runs commands of the tool beside each other, as units, timers and an admin do.

Run by the manager's CPython: `beside_trials.py SECONDS`. Prints one JSON object: how often each
command ran, and in "problems" each run that ended in another way than it does alone.
"""
# ruff: noqa: TID251 - it runs on the host, where the builder is not

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOOL = "backendai-ctl"
# What each does, and the statuses that it may end with: no registry answers a scan here.
COMMANDS: list[tuple[tuple[str, ...], set[int]]] = [
    (("seed", "apply", "--no-start", "--wait", "3"), {0}),
    (("seed", "apply", "--no-start", "--wait", "3", "--if-needed"), {0}),
    (("seed", "rescan"), {69}),
    (("seed", "rescan"), {69}),
    (("configure", "manager"), {0}),
    (("configure", "manager"), {0}),
    (("site", "set", "seed.wait", "3"), {0}),
    (("site", "set", "seed.wait", "4"), {0}),
    (("tls", "apply", "--no-restart"), {0}),
    (("secrets", "export"), {0}),
    (("doctor", "--only", "seed"), {0, 3, 4}),
    (("seed", "status"), {0, 69}),
]
WRONG = ("Traceback", "No such file or directory", "cannot write", "cannot make", "File exists")
FOLDERS = ("/etc/backend.ai", "/var/lib/backendai")


def repeat(words: tuple[str, ...], allowed: set[int], until: float) -> tuple[int, list[str]]:
    """Run a command until the time is over; how often, and what was wrong."""
    runs, problems = 0, []
    while time.monotonic() < until:
        done = subprocess.run([TOOL, *words], capture_output=True, check=False)
        runs += 1
        said = (done.stdout + done.stderr).decode(errors="replace")
        if done.returncode not in allowed or any(word in said for word in WRONG):
            problems.append(f"{' '.join(words)}: {done.returncode}: {said[-600:]}")
    return runs, problems


def main() -> None:
    """Run all at once."""
    until = time.monotonic() + float(sys.argv[1])
    with ThreadPoolExecutor(len(COMMANDS)) as pool:
        ended = [pool.submit(repeat, words, allowed, until) for words, allowed in COMMANDS]
    results = [run.result() for run in ended]
    problems = [problem for _, found in results for problem in found]
    for folder in FOLDERS:
        problems += [f"left: {path}" for path in Path(folder).rglob("*backendai-tmp")]
    shown = [" ".join(words) for words, _ in COMMANDS]
    report = {
        "runs": dict(zip(shown, (runs for runs, _ in results), strict=True)),
        "problems": problems,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
