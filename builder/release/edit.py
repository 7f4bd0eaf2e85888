"""Edits of a release file's text, comments kept. Pure."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from builder.base.errors import SpecError
from builder.base.parse import TextError, parse_toml
from builder.spec.release import ReleaseSpec
from builder.spec.validate import validate

_CHANGELOG = "[[changelog]]"


@dataclass(frozen=True, kw_only=True)
class Move:
    """The release that a file moves to."""

    version: str
    until: datetime  # the index is considered until then
    day: date
    changes: Sequence[str]


def bump_text(text: str, move: Move) -> str:
    """Return the file of a release at another version: a first revision, a changelog entry.

    Raises SpecError if the text has no place for one of them.
    """
    text = _set(text, "version", json.dumps(move.version))
    text = _set(text, "revision", "1", required=False)
    text = _set(text, "index-until", _zulu(move.until))
    return _with_changelog(text, move, keep=True)


def derive_text(text: str, name: str, move: Move, upgrades_from: Sequence[str]) -> str:
    """Return the file of a new line that is like the line of ``text``, without its history."""
    head = f"# Backend.AI {name}. Schema: ../schema/release.schema.json\n\n"
    text = head + text[re.search(r"(?m)^name = ", text).start() :]  # type: ignore[union-attr]
    text = _set(text, "name", json.dumps(name))
    text = re.sub(r"(?m)^default = .*\n", "", text)
    text = re.sub(r"(?m)^maintained-until = .*\n", "", text)
    text = bump_text(text, move)
    text = re.sub(r"(?m)^(index-until = .*\n)", r'\1maintained-until = "open"\n', text, count=1)
    # The comment above it is about the other line.
    text = re.sub(r"(?m)^(#.*\n)*(?=upgrades-from = )", "", text, count=1)
    text = _set(text, "upgrades-from", json.dumps(list(upgrades_from)))
    return _with_changelog(text[: text.index(_CHANGELOG)] + _CHANGELOG, move, keep=False)


def raise_text(text: str, release: ReleaseSpec, package: str, day: date, change: str) -> str:
    """Return the file of a release with the revision of one package raised, and that alone."""
    entry = _entry(
        version=release.version,
        revision=release.revision_of(package) + 1,
        day=day,
        packages=[package],
        changes=[change],
    )
    before, found, after = text.partition(_CHANGELOG)
    if not found:
        raise SpecError([f"the release file has no {_CHANGELOG}"])
    return f"{before}{entry}\n{_CHANGELOG}{after}"


def parse_release(text: str, label: str) -> ReleaseSpec:
    """Return the release of a file's text; raises SpecError with every problem."""
    try:
        release, problems = validate(ReleaseSpec, parse_toml(text), label)
    except TextError as error:
        raise SpecError([f"{label}: {error}"]) from error
    if release is None:
        raise SpecError(problems)
    return release


def _set(text: str, key: str, value: str, *, required: bool = True) -> str:
    """Replace the value of a key above the first table; a comment behind it stays."""
    pattern = rf"(?m)^{re.escape(key)} = (\"[^\"]*\"|\[[^\]]*\]|[^#\n]*[^#\s])"
    first_table = re.search(r"(?m)^\[", text)
    found = re.compile(pattern).search(text, 0, first_table.start() if first_table else len(text))
    if found is not None:
        return text[: found.start()] + f"{key} = {value}" + text[found.end() :]
    if required:
        raise SpecError([f"the release file has no line '{key} = …' to change"])
    return text


def _with_changelog(text: str, move: Move, *, keep: bool) -> str:
    before, found, after = text.partition(_CHANGELOG)
    if not found:
        raise SpecError([f"the release file has no {_CHANGELOG}"])
    entry = _entry(
        version=move.version, revision=1, day=move.day, packages=(), changes=move.changes
    )
    return before + entry + (f"\n{_CHANGELOG}{after}" if keep else "")


def _entry(
    *, version: str, revision: int, day: date, packages: Sequence[str], changes: Sequence[str]
) -> str:
    rows = [f"version = {_quoted([version])}", f"revision = {revision}", f"day = {day.isoformat()}"]
    if packages:
        rows.append(f"packages = [{_quoted(packages)}]")
    rows.append(f"changes = [{_quoted(changes)}]")
    return "\n".join([_CHANGELOG, *rows, ""])


def _quoted(texts: Sequence[str]) -> str:
    return ", ".join(json.dumps(text, ensure_ascii=False) for text in texts)


def _zulu(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
