"""Loads a configuration with the release's own model; a service's own environment runs it.

Reads {"model": "MODULE:CLASS", "text": TOML} as JSON from stdin, and prints JSON: the
problems that the model reports, or the reason why the text could not be checked. It imports
nothing of this tool, so the service's CPython may be of any release.
"""

import importlib
import json
import logging
import pathlib
import sys
from typing import Any

_UNKNOWN = "Unknown config field"


class _Notes(logging.Handler):
    """Collects the model's warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def check(model: str, text: str) -> dict[str, Any]:
    """Validate ``text``; return its problems, and the names that the model does not know."""
    notes = _Notes()
    logging.getLogger().addHandler(notes)
    _make_no_folders()
    module, _, name = model.partition(":")
    kind = getattr(importlib.import_module(module), name)
    problems: list[dict[str, Any]] = []
    try:
        kind.model_validate(_parse(text))
    except Exception as error:
        found = _errors(error)
        if found is None:
            raise
        problems = found
    unknown = [line for line in notes.lines if line.startswith(_UNKNOWN)]
    return {"problems": problems, "unknown": unknown}


def _parse(text: str) -> Any:
    try:
        parser = importlib.import_module("tomllib")
    except ImportError:  # Python 3.10
        parser = importlib.import_module("tomli")
    return parser.loads(text)


def _make_no_folders() -> None:
    """Make folder creation by a model seem to succeed: a check leaves nothing behind."""
    made: set[str] = set()
    is_dir = pathlib.Path.is_dir

    def mkdir(path: pathlib.Path, *_: Any, **__: Any) -> None:
        made.update((str(path), str(path.resolve())))

    def seems_dir(path: pathlib.Path, *_: Any, **__: Any) -> bool:
        return str(path) in made or is_dir(path)

    pathlib.Path.mkdir = mkdir  # type: ignore[method-assign, assignment]
    pathlib.Path.is_dir = seems_dir  # type: ignore[method-assign, assignment]


def _errors(error: BaseException | None) -> list[dict[str, Any]] | None:
    """Return the errors of pydantic, which the release may have wrapped in its own."""
    while error is not None:
        listed = getattr(error, "errors", None)
        if callable(listed):
            return [
                {
                    "at": [str(part) for part in found["loc"]],
                    "kind": found["type"],
                    "says": found["msg"],
                }
                for found in listed()
            ]
        error = error.__cause__
    return None


def main() -> None:
    """Read one request and print one answer."""
    question = json.load(sys.stdin)
    # Output that the release prints by itself must not get into the answer.
    answer, sys.stdout = sys.stdout, sys.stderr
    json.dump(check(question["model"], question["text"]), answer)


if __name__ == "__main__":
    main()
