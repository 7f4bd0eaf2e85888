"""site.toml: reads and checks the answers, and creates the file if it is absent."""

import difflib
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import tomlkit
from tomlkit.items import Table

from backendai_ctl.answers.kinds import Address, Value, host_of
from backendai_ctl.answers.questions import (
    Question,
    Questions,
    as_variable,
    is_label,
    load_questions,
)
from backendai_ctl.base.errors import HostError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.toml import NotTomlError, parse_table, shipped_table

PUBLIC_HOST = "node.public-host"
# Stands for a password in a suggestion.
_NEW_PASSWORD = "{new}"
_PASSWORD_BYTES = 32
_HEAD = """\
# The answers that this host's Backend.AI services are configured from.
# Services read the files beside this one, which are made from it once. After a
# change here run `backendai-ctl configure SERVICE`: it leaves an existing file
# alone and writes what it would make into FILE.new.
# A key that is absent has the value shown here."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Every question's answer; a question that site.toml leaves out has its default."""

    questions: Questions
    answers: Mapping[str, Value]

    def __getitem__(self, name: str) -> Value:
        answer = self.answers[name]
        if answer == "":
            question = self.questions.named(name)
            if question is not None and question.host_of:
                return host_of(str(self.answers[f"{question.section}.{question.host_of}"]))
        return answer

    def secret_of(self, name: str) -> str | None:
        """Return the name of the secret that replaces this answer if it is empty."""
        question = self.questions.named(name)
        return question.secret if question else None


def load_site(layout: Layout) -> Site:
    """Read and check site.toml; raise SiteError with every problem at once."""
    return parse_site(layout, read_site(layout))


def has_default_answers(layout: Layout) -> bool:
    """Whether site.toml gives no answer that differs from its question's default."""
    given = parse_given(layout, read_site(layout))
    return all(given.answers[each.name] == each.default for each in given.questions.all)


def read_site(layout: Layout) -> str:
    """Return the text of site.toml, every byte unchanged; empty if there is no such file."""
    label = str(layout.site)
    try:
        return layout.site.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise SiteError([f"{label}: is not UTF-8 at byte {error.start}"]) from error
    except OSError as error:
        raise HostError(f"cannot read {label}: {error.strerror}") from error


def parse_site(layout: Layout, text: str) -> Site:
    """Return the answers in ``text``, the present or future site.toml; SiteError as above."""
    site = parse_given(layout, text)
    return replace(site, answers=_filled(site.questions, site.answers))


def parse_given(layout: Layout, text: str) -> Site:
    """Return the same, with answers that are empty left empty."""
    label = str(layout.site)
    try:
        table = parse_table(text)
    except NotTomlError as error:
        raise SiteError([f"{label}: {error}"]) from error
    questions = _with_labels(load_questions(layout), table)
    return _checked(questions, dict(_flatten(questions, table, label)), label)


def new_site(layout: Layout, environment: Mapping[str, str]) -> str:
    """Return the text of a first site.toml, from BACKENDAI_ variables, suggestions and defaults.

    Raises SiteError for a variable that is wrong.
    """
    questions = _with_variables(load_questions(layout), environment)
    given, problems = _from_environment(questions, environment)
    given = {**_suggested(layout, questions), **given}
    site, wrong = _check_all(questions, given, lambda question: question.variable)
    if problems or wrong:
        raise SiteError(problems + wrong, hint="correct the variables and run this again")
    return render_site(site)


def _suggested(layout: Layout, questions: Questions) -> dict[str, object]:
    """Return the suggestions of installed packages; only a new site.toml follows them."""
    found: dict[str, object] = {}
    for path in sorted(layout.suggestions.glob("*.toml")):
        with shipped_table(path, f"backendai-{path.stem}") as table:
            suggested = table
        found.update(_flatten(questions, suggested, str(path)))
    return {name: _made_now(value) for name, value in found.items()}


def _made_now(value: object) -> object:
    """Replace the placeholder of a password by a password of this host's own."""
    return secrets.token_urlsafe(_PASSWORD_BYTES) if value == _NEW_PASSWORD else value


def render_site(site: Site) -> str:
    """Return site.toml with these answers and an explanation of each."""
    document = tomlkit.document()
    for line in _HEAD.splitlines():
        document.add(tomlkit.comment(line.removeprefix("# ")))
    for section, about in site.questions.sections.items():
        if "." in section:
            continue  # written with the section that it follows
        document.add(tomlkit.nl())
        table = tomlkit.table()
        for line in about.splitlines():
            table.add(tomlkit.comment(line))
        for question in site.questions.of_section(section):
            for line in question.about.splitlines():
                table.add(tomlkit.comment(line))
            table.add(question.key, site.answers[question.name])
        for label in site.questions.labels(section):
            table.add(label, _further_table(site, f"{section}.{label}"))
        document.add(section, table)
    return tomlkit.dumps(document)


def _further_table(site: Site, section: str) -> Table:
    table = tomlkit.table()
    for question in site.questions.of_section(section):
        table.add(question.key, site.answers[question.name])
    return table


def _flatten(
    questions: Questions, table: Mapping[str, object], label: str
) -> Iterable[tuple[str, object]]:
    known = [section for section in questions.sections if "." not in section]
    problems: list[str] = []
    found: list[tuple[str, object]] = []
    for section, content in table.items():
        if section not in known:
            problems.append(f"{label}: unknown section [{section}]{_guess(section, known)}")
        elif not isinstance(content, dict):
            problems.append(f"{label}: '{section}' is a section: write [{section}]")
        else:
            found += _answers_of(questions, section, content)
    for name, _ in found:
        if questions.named(name) is None:
            section, _, key = name.rpartition(".")
            keys = [question.key for question in questions.of_section(section)]
            problems.append(f"{label}: [{section}] has no key '{key}'{_guess(key, keys)}")
    if problems:
        raise SiteError(problems, hint=f"known sections: {', '.join(known)}")
    return found


def _answers_of(
    questions: Questions, section: str, content: Mapping[str, object]
) -> Iterable[tuple[str, object]]:
    """Yield the names and values of one section, and of the further ones of its kind."""
    labels = questions.labels(section)
    for key, value in content.items():
        if key in labels and isinstance(value, dict):
            yield from ((f"{section}.{key}.{below}", item) for below, item in value.items())
        else:
            yield f"{section}.{key}", value


def _with_labels(questions: Questions, table: Mapping[str, object]) -> Questions:
    """Return ``questions`` with those of every [SECTION.LABEL] in ``table``."""
    for section in questions.repeatable:
        content = table.get(section)
        if isinstance(content, dict):
            keys = {question.key for question in questions.of_section(section)}
            labels = [
                label
                for label, below in content.items()
                if isinstance(below, dict) and is_label(label) and label not in keys
            ]
            questions = questions.with_labels(section, labels)
    return questions


def _with_variables(questions: Questions, environment: Iterable[str]) -> Questions:
    """Return ``questions`` with those of every further section that a variable answers."""
    known = {question.variable for question in questions.all}
    for section in questions.repeatable:
        begin = f"{as_variable(section)}_"
        keys = {
            as_variable(question.key).rpartition("_")[2]
            for question in questions.of_section(section)
        }
        parts = (
            variable.removeprefix(begin).rpartition("_")
            for variable in sorted(environment)
            if variable.startswith(begin) and variable not in known
        )
        labels = (name.lower().replace("_", "-") for name, _, key in parts if key in keys)
        questions = questions.with_labels(section, filter(is_label, labels))
    return questions


def _checked(questions: Questions, given: Mapping[str, object], label: str) -> Site:
    site, problems = _check_all(questions, given, lambda question: f"{label}: {question.name}")
    if problems:
        raise SiteError(
            problems, hint="correct the file, then run `backendai-ctl configure SERVICE`"
        )
    return site


def _check_all(
    questions: Questions, given: Mapping[str, object], label: Callable[[Question], str]
) -> tuple[Site, list[str]]:
    answers: dict[str, Value] = {}
    problems: list[str] = []
    for question in questions.all:
        value = given.get(question.name, question.default)
        try:
            answers[question.name] = question.check(value)
        except ValueError:
            problems.append(
                f"{label(question)} = {question.shown(value)}: must be {question.allowed}"
            )
    for question in questions.all:
        other = question.asks_for.get(str(answers.get(question.name)))
        if other and answers.get(other) == "":
            shown = question.shown(answers[question.name])
            problems.append(f"{label(question)} = {shown}: needs {other}, which is empty")
    return Site(questions=questions, answers=answers), problems


def _filled(questions: Questions, answers: Mapping[str, Value]) -> dict[str, Value]:
    """Return the answers, with empty ones derived from others."""
    found = dict(answers)
    for question in questions.all:
        answer = found[question.name]
        is_given = answer not in ("", question.default)
        if not is_given and any(found[name] for name in question.derived_where):
            found[question.name] = _derived(question.derived, answers)
        elif question.otherwise and answer == "":
            found[question.name] = _derived(question.otherwise, answers)
    return found


_PLACEHOLDER = re.compile(r"\{([a-z.-]+)(!port)?\}")


def _derived(text: str, answers: Mapping[str, Value]) -> str:
    def answer_to(match: re.Match[str]) -> str:
        answer = str(answers[match[1]])
        return str(Address.parse(answer).port) if match[2] else answer

    return _PLACEHOLDER.sub(answer_to, text)


def own_values(site: Site, name: str) -> set[str]:
    """Return all values that this node's other answers can make of the answer ``name``.

    They include those with the default of [node] public-host, which it had before it was given.
    """
    question, host = (site.questions.named(key) for key in (name, PUBLIC_HOST))
    if question is None or host is None:
        return set()
    answers = [dict(site.answers), {**site.answers, PUBLIC_HOST: host.default}]
    texts = [str(question.default), question.otherwise, question.derived]
    return {_derived(text, known) for text in texts if text for known in answers}


def _from_environment(
    questions: Questions, environment: Mapping[str, str]
) -> tuple[dict[str, object], list[str]]:
    by_variable = {question.variable: question for question in questions.all}
    given: dict[str, object] = {}
    problems: list[str] = []
    prefixes = tuple(f"{as_variable(section)}_" for section in questions.sections)
    for variable in sorted(environment):
        question = by_variable.get(variable)
        if question:
            given[question.name] = question.from_text(environment[variable])
        elif variable.startswith(prefixes):
            problems.append(f"unknown variable {variable}{_guess(variable, by_variable)}")
    return given, problems


def _guess(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""
