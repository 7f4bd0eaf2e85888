"""Answers questions about an environment; run by the target's Python, one question a process.

A script for :mod:`builder.stage.gates`, never imported: standard input is JSON ``{"sites":
[…], "ask": …, "seconds": n, "wait": n, "out": FILE}``, and the answer is JSON in that file. It
must run on every supported Python.
"""

import sys

# The interpreter puts this script's folder first, and nothing there is ours to import.
if not getattr(sys.flags, "safe_path", False):
    del sys.path[0]

import collections.abc
import faulthandler
import importlib
import json
import os
import re
import resource
import site
import typing
from typing import Any

_SHOWN = 300
_DOT = re.compile(r"\.(?![^{}]*\})")  # not the one of {storage.label}, which stands for a name


def fields_of(model: Any) -> dict[str, Any]:
    """Return the annotations of a model's fields, by every name that a file may use."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        names = [name, field.alias, field.serialization_alias]
        alias = field.validation_alias
        names += list(getattr(alias, "choices", [alias]))
        found.update({key: field.annotation for key in names if isinstance(key, str)})
    return found


def lacks(annotation: Any, parts: list[str]) -> str:
    """Return the part of a key that no field has; an empty text if all are there.

    ``parts`` are of a value of this type: a model, a table of any names, or one of several.
    """
    if not parts:
        return ""
    if hasattr(annotation, "__metadata__"):  # Annotated
        return lacks(annotation.__origin__, parts)
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        fields = fields_of(annotation)
        return lacks(fields[parts[0]], parts[1:]) if parts[0] in fields else parts[0]
    inner = [each for each in typing.get_args(annotation) if each is not type(None)]
    origin = typing.get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, collections.abc.Mapping):
        return lacks(inner[-1], parts[1:])
    missing = [lacks(each, parts) for each in inner]
    return "" if "" in missing or not missing else missing[0]


def unread_keys(model: str, keys: list[str]) -> dict[str, str]:
    """Return the keys that the model at MODULE:CLASS does not read, each with the reason."""
    module, _, name = model.partition(":")
    kind = getattr(importlib.import_module(module), name)
    found = {key: lacks(kind, _DOT.split(key)) for key in keys}
    return {key: f"no field '{part}'" for key, part in found.items() if part}


def run_help(entry: str, name: str) -> dict[str, str]:
    """Run a console script with --help; return what went wrong, by its name."""
    module, _, attribute = entry.partition(":")
    sys.argv = [name, "--help"]
    try:
        function: Any = importlib.import_module(module)
        for part in attribute.split("."):
            function = getattr(function, part)
        status = function()
    except SystemExit as error:
        status = error.code
    except BaseException as error:
        return {name: f"{type(error).__name__}: {error}"[:_SHOWN]}
    return {} if status in (None, 0, False) else {name: f"status {status}"[:_SHOWN]}


def main() -> None:
    """Answer the question of standard input."""
    task = json.load(sys.stdin)
    for folder in task["sites"]:
        site.addsitedir(folder)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    # Of the processor's time, so that the answer is the same on a busy machine.
    seconds = max(1, round(task["seconds"]))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    faulthandler.dump_traceback_later(task["wait"], exit=True)
    asked = task["ask"]
    if "model" in asked:
        answer = unread_keys(asked["model"], asked["keys"])
    else:
        answer = run_help(asked["entry"], asked["script"])
    with open(task["out"], "w", encoding="utf-8") as file:  # noqa: PTH123 - imports little
        json.dump(answer, file)
    os._exit(0)  # threads that a module has started may never end


if __name__ == "__main__":
    main()
