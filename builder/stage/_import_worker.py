"""Imports modules one after the other, and notes what happens; run by the target's Python.

A script for :mod:`builder.stage.imports`, never imported: standard input is JSON
``{"sites": […], "modules": […], "out": FILE, "seconds": n, "wait": n,
"alone": bool}``. Each module gets two lines of JSON in ``out``: its name before, and name and
error after. A module that ends or stops the interpreter has only the first. It must run on
every supported Python.
"""

import sys

# The interpreter puts this script's folder first, and nothing there is ours to import.
if not getattr(sys.flags, "safe_path", False):
    del sys.path[0]

import faulthandler
import importlib
import json
import os
import re
import resource
import signal
import site
import time
from collections.abc import Callable
from typing import Any

_ADDRESS = re.compile(r"\b0x[0-9a-f]+\b")
_SHOWN = 300
_FINISHED = 77  # a status that a module hardly ends with


def attempt(name: str, sites: list[str]) -> str:
    """Import a module; return the error in one line, or an empty text."""
    try:
        importlib.import_module(name)
    except BaseException as error:
        lines = str(error).strip().splitlines() or [""]
        text = _ADDRESS.sub("0x", f"{type(error).__name__}: {lines[0]}")
        for folder in sites:
            text = text.replace(folder, "SITE")
        return text[:_SHOWN]
    return ""


def attempt_alone(name: str, task: dict[str, Any], note: Callable[[object], None]) -> None:
    """Import a module in a process of its own, which has imported nothing before.

    The limit is of the processor's time, so that the result is the same on a busy machine.
    """
    seconds = max(1, round(task["seconds"]))
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        faulthandler.dump_traceback_later(task["wait"], exit=True)
        note({"module": name, "error": attempt(name, task["sites"])})
        os._exit(_FINISHED)
    _, status = os.waitpid(child, 0)
    if status != _FINISHED << 8:
        waited = time.monotonic() - begin >= task["wait"]
        note({"module": name, "error": describe_end(status, task, waited=waited)})


def describe_end(status: int, task: dict[str, Any], *, waited: bool) -> str:
    """Say how a process ended that did not finish; ``status`` is waitpid's."""
    number = status & 0x7F
    if number == signal.SIGXCPU:
        return f"took more than {task['seconds']:.0f} s of the processor"
    if waited and not number:
        return f"did not end within {task['wait']:.0f} s"
    return "ended the interpreter: " + (f"signal {number}" if number else f"status {status >> 8}")


def prepare(task: dict[str, Any]) -> None:
    """Make this interpreter that of the environment, and silent."""
    site.setquit()
    site.sethelper()
    site.execsitecustomize()
    for folder in task["sites"]:
        site.addsitedir(folder)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)


def main() -> None:
    """Import what standard input names."""
    task = json.load(sys.stdin)
    out = os.open(task["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    prepare(task)

    def note(table: object) -> None:
        os.write(out, (json.dumps(table) + "\n").encode())

    for name in task["modules"]:
        if task["alone"]:
            attempt_alone(name, task, note)
            continue
        note({"begun": name})
        faulthandler.dump_traceback_later(task["seconds"], exit=True)
        error = attempt(name, task["sites"])
        faulthandler.cancel_dump_traceback_later()
        note({"module": name, "error": error})
    os._exit(0)  # threads that a module has started may never end


if __name__ == "__main__":
    main()
