"""The schema of ``pkgspec/prune.toml``: files of wheels and of CPython that no package ships."""

import re
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property
from typing import Annotated

from pydantic import Field, StringConstraints

from builder.base.model import Arch
from builder.spec.types import Strict, Text

_RuleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
_Glob = Annotated[str, StringConstraints(pattern=r"^[^/].*$")]


class PruneOrigin(StrEnum):
    """The trees that a rule is for."""

    WHEELS = "wheels"
    CPYTHON = "cpython"


class PruneRule(Strict):
    """Files that are left out, and why nobody misses them."""

    name: _RuleName
    reason: Text = Field(description="why no service needs the files")
    origin: PruneOrigin = Field(PruneOrigin.WHEELS, alias="of")
    match: tuple[_Glob, ...] = Field(
        min_length=1,
        description="below site-packages, or below the tree of CPython; ** stands for folders, "
        "{lib} for lib/python3.X",
    )
    keep: tuple[_Glob, ...] = Field((), description="exceptions")
    modules: bool = Field(
        default=False, description="whether the rule may take modules that could be imported"
    )
    archs: tuple[Arch, ...] = Field(tuple(Arch), description="of the packages it is for")

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return _any_of(self.match)

    @cached_property
    def _kept(self) -> re.Pattern[str]:
        return _any_of(self.keep)

    def takes(self, path: str) -> bool:
        """Return whether the rule leaves out the file at ``path`` below site-packages."""
        return bool(self._pattern.fullmatch(path)) and not self._kept.fullmatch(path)


class PruneSpec(Strict):
    """The data file of all rules."""

    rule: tuple[PruneRule, ...] = ()

    def problems(self) -> list[str]:
        """Return the problems between the rules."""
        times = Counter(rule.name for rule in self.rule)
        return [f"pkgspec/prune: two rules are called '{n}'" for n, c in times.items() if c > 1]

    def of(self, origin: PruneOrigin) -> tuple[PruneRule, ...]:
        """Return the rules for trees of this origin."""
        return tuple(rule for rule in self.rule if rule.origin is origin)


def _any_of(globs: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{_translate(glob)})" for glob in globs) or r"(?!)")


def _translate(glob: str) -> str:
    """Return the glob as a regular expression: ``*`` stays in a folder, ``**`` does not."""
    parts = re.split(r"(\*\*/|\*\*|\*)", glob)
    known = {"**/": r"(?:[^/]+/)*", "**": r".+", "*": r"[^/]*"}
    return "".join(known.get(part, re.escape(part)) for part in parts)
