"""What upstream's suite is known to do on a packaged node, as data: ``known/LINE.toml``.

A case that no entry names is expected to pass. An entry names cases that do not, says how
they end, why, and whose fault that is.
"""

import fnmatch
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "known"
_KEYS = {"cases", "account", "outcome", "error", "whose", "cause", "sometimes"}


class Outcome(StrEnum):
    """How a case ended."""

    PASS = "pass"
    FAIL = "fail"
    TIMEOUT = "timeout"  # it was stopped at its limit, and says nothing
    SKIPPED = "skipped"


class Whose(StrEnum):
    """Whose fault it is that a case does not pass."""

    UPSTREAM = "upstream"
    DESIGN = "design"  # the account may not do it, and should not
    ENVIRONMENT = "environment"
    OURS = "ours"


@dataclass(frozen=True, kw_only=True)
class Known:
    """Cases that do not pass, for one cause."""

    cases: tuple[str, ...]  # shell patterns
    account: str  # who runs them, "*" for anybody
    outcome: Outcome
    error: str  # what the error says, a part of it
    whose: Whose
    cause: str
    sometimes: bool  # the case also passes, by chance or on a larger machine

    def names(self, result: "Result") -> bool:
        """Whether the entry is about the case of ``result``."""
        if self.account not in ("*", result.account):
            return False
        return any(_matches(result.case, pattern) for pattern in self.cases)

    def explains(self, result: "Result") -> bool:
        """Whether the case ended as the entry says."""
        return result.outcome is self.outcome and self.error in result.error


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one case ended for one account."""

    case: str
    account: str
    outcome: Outcome
    seconds: float = 0.0
    error: str = ""
    body: str = ""  # how the check itself ended: passed, failed, not reached
    left: tuple[str, ...] = ()  # sessions and services that it did not remove

    @classmethod
    def parse(cls, line: dict[str, Any], account: str) -> "Result":
        """Read a line of the driver."""
        return cls(
            case=line["case"],
            account=account,
            outcome=Outcome(line["outcome"]),
            seconds=float(line.get("seconds", 0)),
            error=line.get("error", ""),
            body=line.get("body", ""),
            left=tuple(line.get("left", ())),
        )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A result beside what was known of its case."""

    result: Result
    known: Known | None
    problem: str  # why this is not as expected, empty where it is


def load_known(line: str, folder: Path = _FOLDER) -> list[Known]:
    """The entries of a release line; FileNotFoundError where nobody has written them."""
    table = tomllib.loads((folder / f"{line}.toml").read_text(encoding="utf-8"))
    return [_parse(entry) for entry in table["known"]]


def _parse(entry: dict[str, Any]) -> Known:
    unknown = sorted(entry.keys() - _KEYS)
    if unknown:
        raise ValueError(f"unknown keys: {', '.join(unknown)}")
    known = Known(
        cases=tuple(entry["cases"]),
        account=entry.get("account", "*"),
        outcome=Outcome(entry["outcome"]),
        error=entry.get("error", ""),
        whose=Whose(entry["whose"]),
        cause=entry["cause"],
        sometimes=entry.get("sometimes", False),
    )
    if known.outcome is Outcome.FAIL and not known.error:
        raise ValueError(f"{known.cases[0]}: a failure is known by a part of its error")
    return known


def judge(results: Sequence[Result], known: Sequence[Known]) -> list[Verdict]:
    """Compare every result with what is known of its case."""
    return [_judge(result, [entry for entry in known if entry.names(result)]) for result in results]


def unused(results: Sequence[Result], known: Sequence[Known]) -> list[str]:
    """The patterns that name no case that was run: their cases are gone or misspelt."""
    return [
        pattern
        for entry in known
        for pattern in entry.cases
        if not any(_matches(result.case, pattern) for result in results)
    ]


def _judge(result: Result, about: Sequence[Known]) -> Verdict:
    explaining = [entry for entry in about if entry.explains(result)]
    entry = next(iter(explaining or about), None)
    problem = ""
    if result.outcome is Outcome.PASS:
        if about and not any(each.sometimes for each in about):
            problem = "passes, though it is known not to: remove the entry"
    elif not explaining:
        expected = " or ".join(f"{each.outcome} ({each.error})" for each in about)
        problem = f"{result.outcome}, expected: {expected or 'pass'}"
    return Verdict(result=result, known=entry, problem=problem)


def _matches(case: str, pattern: str) -> bool:
    # Brackets hold a case's parameters here, and are no set of characters.
    return fnmatch.fnmatchcase(case, pattern.replace("[", "[[]"))
