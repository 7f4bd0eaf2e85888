"""Reads TOML into a model, and words every problem for people."""

import difflib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from builder.base.errors import SpecError
from builder.base.parse import TextError, parse_toml, shown

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, label: str) -> tuple[dict[str, Any], list[str]]:
    """Read the table in ``path``, and return it with the problems of reading it."""
    text, problems = read_text(path, label)
    return ({}, problems) if problems else parse_table(text, label)


def read_text(path: Path, label: str) -> tuple[str, list[str]]:
    """Read the text in ``path``, and return it with the problems of reading it."""
    try:
        return path.read_text(encoding="utf-8"), []
    except FileNotFoundError:
        return "", [f"{label}: no such file"]
    except OSError as error:
        return "", [f"{label}: {error.strerror}"]
    except UnicodeDecodeError as error:
        return "", [f"{label}: not UTF-8: {error.reason} at byte {error.start}"]


def parse_table(text: str, label: str) -> tuple[dict[str, Any], list[str]]:
    """Parse TOML, and return the table with the problems of parsing it."""
    try:
        return parse_toml(text), []
    except TextError as error:
        return {}, [f"{label}: {error}"]


def validate(
    model: type[Model], table: dict[str, Any], label: str
) -> tuple[Model | None, list[str]]:
    """Return ``table`` as a ``model``, or None, and every problem it has."""
    try:
        return model.model_validate(table), []
    except ValidationError as error:
        return None, [_describe(problem, model, label) for problem in error.errors()]


def load_model(model: type[Model], path: Path, label: str, *, hint: str | None = None) -> Model:
    """Return the file at ``path`` as a ``model``; raises SpecError with every problem."""
    table, problems = read_toml(path, label)
    if not problems:
        loaded, problems = validate(model, table, label)
        if loaded is not None:
            return loaded
    raise SpecError(problems, hint=hint)


def _describe(problem: ErrorDetails, model: type[BaseModel], label: str) -> str:
    location = [str(part) for part in problem["loc"]]
    where = ".".join(location)
    if problem["type"] == "extra_forbidden":
        known = _keys_at(model, problem["loc"][:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        guess = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(known))}"
        inside = f" in '{'.'.join(location[:-1])}'" if location[:-1] else ""
        return f"{label}: unknown key '{location[-1]}'{inside} ({guess})"
    if problem["type"] == "missing":
        return f"{label}: '{where}' is missing"
    message = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    given = f" (value: {shown(value)})" if not isinstance(value, dict | list) else ""
    prefix = f"'{where}': " if where else ""
    return f"{label}: {prefix}{message}{given}"


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the table at ``location`` may have."""
    current: type[BaseModel] = model
    for part in location:
        if isinstance(part, str):
            found = _field_model(current, part)
            if found is not None:
                current = found
    return [field.alias or name for name, field in current.model_fields.items()]


def _field_model(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            return _model_in(field.annotation)
    return None


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model inside ``tuple[Model, ...]``, ``Model | None`` and similar."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_in(part)
        if found is not None:
            return found
    return None
