"""Edits of a release file's text, comments kept. Pure."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from builder.base.errors import SpecError, UsageError
from builder.base.parse import TextError, parse_toml
from builder.spec.release import ChangelogSpec, ReleaseSpec, Urgency
from builder.spec.validate import validate

_CHANGELOG = "[[changelog]]"
_COLUMNS = 100


@dataclass(frozen=True, kw_only=True)
class Move:
    """The release that a file moves to."""

    version: str
    until: datetime  # the index is considered until then
    day: date
    changes: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Importance:
    """What a version is good for, beside its changes."""

    urgency: Urgency
    fixes: tuple[str, ...]  # names of vulnerabilities


NORMAL = Importance(urgency=Urgency.MEDIUM, fixes=())


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


def leave_out(text: str, release: ReleaseSpec, names: Collection[str]) -> str:
    """Return the file of ``release`` without the packages ``names``.

    Raises UsageError for a package that the release does not have.
    """
    unknown = [name for name in names if name not in release.packages]
    if unknown:
        raise UsageError(
            f"{release.name} has no package {', '.join(unknown)}",
            hint=f"it has {', '.join(release.packages)}",
        )
    if not names:
        return text
    kept = [f"    {json.dumps(name)},\n" for name in release.packages if name not in names]
    return _set(text, "packages", f"[\n{''.join(kept)}]")


def raise_text(text: str, entry: ChangelogSpec, until: datetime | None = None) -> str:
    """Return the file of a release with one more entry, which raises its packages alone.

    ``until`` is the moment until which the index is considered, if that changes, too.
    """
    if until is not None:
        text = _set(text, "index-until", _zulu(until))
    before, found, after = text.partition(_CHANGELOG)
    if not found:
        raise SpecError([f"the release file has no {_CHANGELOG}"])
    return f"{before}{_entry(entry)}\n{_CHANGELOG}{after}"


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
    entry = make_entry(version=move.version, revision=1, day=move.day, changes=move.changes)
    return before + _entry(entry) + (f"\n{_CHANGELOG}{after}" if keep else "")


def make_entry(**values: object) -> ChangelogSpec:
    """Return an entry of a changelog; raises SpecError if a value is not allowed in it."""
    entry, problems = validate(ChangelogSpec, values, "the changelog's entry")
    if entry is None:
        raise SpecError(problems)
    return entry


def _entry(entry: ChangelogSpec) -> str:
    rows = [
        f"version = {json.dumps(entry.version)}",
        f"revision = {entry.revision}",
        f"day = {entry.day.isoformat()}",
    ]
    if entry.urgency is not Urgency.MEDIUM:
        rows.append(f"urgency = {json.dumps(entry.urgency.value)}")
    if entry.packages:
        rows.append(_row("packages", entry.packages))
    rows.append(_row("changes", entry.changes))
    if entry.fixes:
        rows.append(_row("fixes", entry.fixes))
    return "\n".join([_CHANGELOG, *rows, ""])


def _row(key: str, texts: Sequence[str]) -> str:
    """Return a list of texts, each on a line of its own where one line is too long."""
    quoted = [json.dumps(text, ensure_ascii=False) for text in texts]
    row = f"{key} = [{', '.join(quoted)}]"
    if len(row) <= _COLUMNS:
        return row
    return "\n".join([f"{key} = [", *(f"    {text}," for text in quoted), "]"])


def _zulu(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
