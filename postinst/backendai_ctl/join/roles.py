"""The roles that a node can join in, as backendai-common ships them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backendai_ctl.answers.questions import Question, Questions
from backendai_ctl.base.errors import InputError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.toml import as_list, as_table, as_words, shipped_table

_LISTS = ("answers", "described", "distinct", "secrets", "makes", "reaches", "keys")


@dataclass(frozen=True, kw_only=True)
class Role:
    """One role; postinst/site/roles.toml explains each field."""

    name: str
    about: str
    services: tuple[str, ...]
    answers: tuple[str, ...] = ()
    described: tuple[str, ...] = ()
    distinct: tuple[str, ...] = ()
    unless: str = ""
    own: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    manager_key: bool = False
    reaches: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    remedies: Mapping[str, str] = field(default_factory=dict)


def role_names(layout: Layout) -> Sequence[str]:
    """Return the names of all roles."""
    return tuple(role.name for role in _load(layout))


def load_role(layout: Layout, name: str) -> Role:
    """Return the role called ``name``; InputError if there is none."""
    roles = {role.name: role for role in _load(layout)}
    if name not in roles:
        raise InputError(f"there is no role '{name}'", hint=f"roles: {', '.join(roles)}")
    return roles[name]


def chosen(questions: Questions, patterns: Sequence[str]) -> Iterator[Question]:
    """Yield the questions that SECTION.KEY and SECTION.* stand for, further sections included."""
    for question in questions.all:
        section, _, label = question.section.partition(".")
        is_further = bool(label) and section in questions.repeatable
        base = section if is_further else question.section
        if f"{base}.*" in patterns or f"{base}.{question.key}" in patterns:
            yield question


def _load(layout: Layout) -> list[Role]:
    with shipped_table(layout.roles, "backendai-common") as table:
        remedies = {key: str(text) for key, text in as_table(table["remedies"]).items()}
        return [_role(as_table(item), remedies) for item in as_list(table["role"])]


def _role(table: Mapping[str, object], remedies: Mapping[str, str]) -> Role:
    return Role(
        name=str(table["name"]),
        about=str(table["about"]),
        services=as_words(table["services"]),
        unless=str(table.get("unless", "")),
        own={name: str(text) for name, text in as_table(table.get("own", {})).items()},
        manager_key=bool(table.get("manager-key", False)),
        remedies=remedies,
        **{name: as_words(table.get(name, [])) for name in _LISTS},
    )
