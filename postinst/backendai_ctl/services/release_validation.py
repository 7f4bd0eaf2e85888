"""Validates a configuration with the installed release's own model, before a service reads it."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import tomlkit

from backendai_ctl.answers.questions import Questions, load_questions
from backendai_ctl.answers.resolve import PLACEHOLDER, answers_in
from backendai_ctl.base.errors import HostError, NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.programs import run_program
from backendai_ctl.base.redact import HIDDEN, redact_urls
from backendai_ctl.base.text import lines_of
from backendai_ctl.base.toml import NotTomlError, parse_table
from backendai_ctl.services.recipe import ConfigRecipe

_SECONDS = 30.0
_WORKER = Path(__file__).with_name("release_validation_worker.py")
# These problems depend on the host, which may change, rather than on an answer.
_OF_THE_HOST = {"path_not_file", "path_not_directory", "path_does_not_exist", "path_exists"}
# An admin may have added keys that come from no answer.
_SECRET = ("password", "secret", "token", "private", "key")
_LONG = 80


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One value that the release refuses."""

    file: str
    key: str
    value: str
    says: str
    is_of_host: bool = False
    answer: str = ""  # the answer in site.toml that the value comes from, if any

    def __str__(self) -> str:
        shown = f" = {self.value}" if self.value else ""
        origin = f" (site.toml: {self.answer})" if self.answer else ""
        return f"{self.file}: {self.key}{shown}: {self.says}{origin}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The release's verdict on one file."""

    problems: tuple[Problem, ...] = ()
    unknown: tuple[str, ...] = ()
    # The reason why the release could not check the file; empty if it did.
    unasked: str = ""

    @property
    def refused(self) -> tuple[Problem, ...]:
        """The problems that come from an answer in site.toml, not from the host."""
        return tuple(
            problem for problem in self.problems if problem.answer and not problem.is_of_host
        )


@dataclass(frozen=True, kw_only=True)
class Validator:
    """Validates with the CPython of one service; the answers default to those of ``layout``."""

    layout: Layout
    service: str
    worker: Path = field(default=_WORKER)

    def check(self, config: ConfigRecipe, text: str) -> Verdict:
        """Validate ``text``, the present or future content of ``config``'s file.

        A file without a known model passes, and so does any file of a service without its CPython
        (an image that is being built, a test).
        """
        python = self.layout.python(self.service)
        if config.model is None or not python.exists():
            return Verdict()
        file = str(self.layout.etc / config.file)
        try:
            table = parse_table(text)
        except NotTomlError as error:
            return Verdict(problems=(Problem(file=file, key="", value="", says=str(error)),))
        question = json.dumps({"model": config.model, "text": text})
        environment = {"PATH": os.defpath, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
        try:
            done = run_program(
                [os.fspath(python), "-I", "-B", os.fspath(self.worker)],
                seconds=_SECONDS,
                stdin=question,
                env=environment,
            )
            if done.status != 0:
                return Verdict(unasked=f"{file}: {redact_urls(_last_line(done.stderr))}")
            answer = json.loads(done.stdout)
        except (NotReadyError, ValueError) as error:
            return Verdict(unasked=f"{file}: {error}")
        hidden = hidden_settings(config, load_questions(self.layout))
        return Verdict(
            problems=tuple(
                _problem(
                    file, table, problem["at"], problem["says"], problem["kind"], config, hidden
                )
                for problem in answer["problems"]
            ),
            unknown=tuple(f"{file}: {line}" for line in answer["unknown"]),
        )

    def check_file(self, config: ConfigRecipe) -> Verdict:
        """Validate the file as it lies in /etc; HostError if it cannot be read.

        The file is the admin's: no problem in it is attributed to an answer of site.toml.
        """
        path = self.layout.etc / config.file
        if config.model is None:
            return Verdict()
        try:
            verdict = self.check(config, path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise HostError(f"cannot read {path}: {error}") from error
        problems = tuple(replace(problem, answer="") for problem in verdict.problems)
        return replace(verdict, problems=problems)


def _problem(  # noqa: PLR0913, PLR0917
    file: str,
    table: Mapping[str, object],
    at: list[str],
    says: str,
    kind: str,
    config: ConfigRecipe,
    hidden: frozenset[str],
) -> Problem:
    names, value = _find(table, at)
    key = ".".join(names)
    is_secret = any(_is_at(key, setting) for setting in hidden) or _is_secret(key)
    return Problem(
        file=file,
        key=key,
        value=HIDDEN if is_secret and value is not None else _shown(value),
        says=redact_urls(_without_value(says, value) if is_secret else says),
        is_of_host=kind in _OF_THE_HOST,
        answer=_answer(config, key),
    )


def _find(table: Mapping[str, object], at: list[str]) -> tuple[list[str], object]:
    """Return the keys as the file spells them, and their value; the release may use other names."""
    names: list[str] = []
    value: object = table
    for part in at:
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            names.append(part)
            value = value[int(part)]
            continue
        if not isinstance(value, Mapping):
            break  # the rest of the path names a type, not a key
        spelled = next((spelling for spelling in _spellings(part) if spelling in value), None)
        names.append(spelled or part)
        value = value.get(spelled) if spelled else None
    return names, value


def _spellings(part: str) -> Iterator[str]:
    yield from (part, part.replace("_", "-"), part.replace("-", "_"))


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return HIDDEN
    text = redact_urls(tomlkit.item(value).as_string())
    return text if len(text) <= _LONG else text[:_LONG] + "…"


def hidden_settings(config: ConfigRecipe, questions: Questions) -> frozenset[str]:
    """Return the keys of a configuration that are set from answers that hold a secret."""
    return frozenset(
        setting
        for setting, wanted in config.settings.items()
        if isinstance(wanted, dict) and _holds_secret(wanted, questions)
    )


def _holds_secret(wanted: Mapping[str, object], questions: Questions) -> bool:
    names = answers_in(wanted)
    return "secret" in wanted or any(
        question.is_secret for question in questions.all if question.name in names
    )


def _is_secret(key: str) -> bool:
    last = key.rpartition(".")[2].lower()
    return any(word in last for word in _SECRET)


def _without_value(says: str, value: object) -> str:
    text = str(value)
    return says.replace(text, HIDDEN) if text and value is not None else says


def _answer(config: ConfigRecipe, key: str) -> str:
    """Return the answer from which the recipe sets this key or the table around it."""
    found = [
        str(wanted["site"])
        for setting, wanted in config.settings.items()
        if isinstance(wanted, dict) and "site" in wanted and _is_at(key, setting)
    ]
    return found[0] if found else ""


def _is_at(key: str, setting: str) -> bool:
    """Whether a recipe's setting, which may name any label, is this key or a table around it."""
    pattern = "[^.]+".join(map(re.escape, PLACEHOLDER.split(setting)[::3]))
    return re.fullmatch(rf"{pattern}(\..*)?", key) is not None


def _last_line(text: str) -> str:
    lines = lines_of(text.strip()) or ["ended without a word"]
    return lines[-1]
