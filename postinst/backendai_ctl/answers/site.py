"""site.toml: reading and checking the answers, and making the file where it is absent."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import tomlkit

from backendai_ctl.answers.questions import Question, Questions, Value, load_questions
from backendai_ctl.base.errors import HostError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.toml import NotTomlError, parse_table, shipped_table

_HEAD = """\
# The answers that this host's Backend.AI services are configured from.
# Services read the files beside this one, which are made from it once. After a
# change here run `backendai-ctl configure SERVICE`: it leaves an existing file
# alone and writes what it would make into FILE.new.
# A key that is absent has the value shown here."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Every question's answer; what site.toml leaves out has its default."""

    questions: Questions
    answers: Mapping[str, Value]

    def __getitem__(self, name: str) -> Value:
        return self.answers[name]

    def secret_of(self, name: str) -> str | None:
        """The secret that is made where this answer is empty."""
        question = self.questions.named(name)
        return question.secret if question else None


def load_site(layout: Layout) -> Site:
    """Read and check site.toml; raises SiteError with every problem at once."""
    label = str(layout.site)
    try:
        text = layout.site.read_bytes().decode("utf-8")
    except FileNotFoundError:
        text = ""
    except UnicodeDecodeError as error:
        raise SiteError([f"{label}: is not UTF-8 at byte {error.start}"]) from error
    except OSError as error:
        raise HostError(f"cannot read {label}: {error.strerror}") from error
    return parse_site(layout, text)


def parse_site(layout: Layout, text: str) -> Site:
    """The answers in ``text``, which is or shall be site.toml; SiteError as above."""
    label = str(layout.site)
    try:
        table = parse_table(text)
    except NotTomlError as error:
        raise SiteError([f"{label}: {error}"]) from error
    questions = load_questions(layout)
    return _checked(questions, dict(_flatten(questions, table, label)), label)


def new_site(layout: Layout, environment: Mapping[str, str]) -> str:
    """The text of a first site.toml, from BACKENDAI_ variables, suggestions and defaults.

    Raises SiteError for a variable that is wrong.
    """
    questions = load_questions(layout)
    given, problems = _from_environment(questions, environment)
    given = {**_suggested(layout, questions), **given}
    site, wrong = _check_all(questions, given, lambda question: question.variable)
    if problems or wrong:
        raise SiteError(problems + wrong, hint="mend the environment and run this again")
    return render_site(site)


def _suggested(layout: Layout, questions: Questions) -> dict[str, object]:
    """What installed packages suggest; only a new site.toml follows them."""
    found: dict[str, object] = {}
    for path in sorted(layout.suggestions.glob("*.toml")):
        with shipped_table(path, f"backendai-{path.stem}") as table:
            suggested = table
        found.update(_flatten(questions, suggested, str(path)))
    return found


def render_site(site: Site) -> str:
    """site.toml with these answers and an explanation of each."""
    document = tomlkit.document()
    for line in _HEAD.splitlines():
        document.add(tomlkit.comment(line.removeprefix("# ")))
    for section, about in site.questions.sections.items():
        document.add(tomlkit.nl())
        table = tomlkit.table()
        for line in about.splitlines():
            table.add(tomlkit.comment(line))
        for question in site.questions.of_section(section):
            for line in question.about.splitlines():
                table.add(tomlkit.comment(line))
            table.add(question.key, site[question.name])
        document.add(section, table)
    return tomlkit.dumps(document)


def _flatten(
    questions: Questions, table: Mapping[str, object], label: str
) -> Iterable[tuple[str, object]]:
    known = questions.sections
    problems: list[str] = []
    found: list[tuple[str, object]] = []
    for section, content in table.items():
        if section not in known:
            problems.append(f"{label}: unknown section [{section}]{_guess(section, known)}")
        elif not isinstance(content, dict):
            problems.append(f"{label}: '{section}' is a section: write [{section}]")
        else:
            found += [(f"{section}.{key}", value) for key, value in content.items()]
    for name, _ in found:
        if questions.named(name) is None:
            section, _, key = name.partition(".")
            keys = [question.key for question in questions.of_section(section)]
            problems.append(f"{label}: [{section}] has no key '{key}'{_guess(key, keys)}")
    if problems:
        raise SiteError(problems, hint=f"known sections: {', '.join(known)}")
    return found


def _checked(questions: Questions, given: Mapping[str, object], label: str) -> Site:
    site, problems = _check_all(questions, given, lambda question: f"{label}: {question.name}")
    if problems:
        raise SiteError(problems, hint="mend the file, then run `backendai-ctl configure SERVICE`")
    return Site(questions=questions, answers=_filled(questions, site.answers))


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
            shown = "(not shown)" if question.key == "password" else _toml(value)
            problems.append(f"{label(question)} = {shown}: must be {question.allowed}")
    for question in questions.all:
        other = question.asks_for.get(str(answers.get(question.name)))
        if other and answers.get(other) == "":
            shown = _toml(answers[question.name])
            problems.append(f"{label(question)} = {shown}: needs {other}, which is empty")
    return Site(questions=questions, answers=answers), problems


def _filled(questions: Questions, answers: Mapping[str, Value]) -> dict[str, Value]:
    """The answers, and what others make of those that are empty."""
    found = dict(answers)
    for question in questions.all:
        if question.otherwise and found[question.name] == "":
            text = question.otherwise
            for name, value in answers.items():
                text = text.replace(f"{{{name}}}", str(value))
            found[question.name] = text
    return found


def _from_environment(
    questions: Questions, environment: Mapping[str, str]
) -> tuple[dict[str, object], list[str]]:
    by_variable = {question.variable: question for question in questions.all}
    given: dict[str, object] = {}
    problems: list[str] = []
    sections = [section.replace("-", "_") for section in questions.sections]
    prefixes = tuple(f"BACKENDAI_{section}_".upper() for section in sections)
    for variable in sorted(environment):
        question = by_variable.get(variable)
        if question:
            given[question.name] = question.from_text(environment[variable])
        elif variable.startswith(prefixes):
            problems.append(f"unknown variable {variable}{_guess(variable, by_variable)}")
    return given, problems


def _toml(value: object) -> str:
    if isinstance(value, (str, int, float, list, dict)):
        return tomlkit.item(value).as_string().strip()
    return str(value)


def _guess(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""
