"""A finding about this host. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Status(StrEnum):
    """How a check came out."""

    OK = "ok"
    MISSING = "missing"  # without it no build works
    OPTIONAL = "optional"  # not there, and a build works without


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing a build may need: whether the host has it, and what fixes a lack."""

    name: str
    status: Status
    detail: str
    remedy: str | None = None

    @property
    def is_ok(self) -> bool:
        """Whether nothing needs a fix."""
        return self.status is Status.OK


def found(name: str, detail: str) -> Check:
    """The finding for what the host has."""
    return Check(name=name, status=Status.OK, detail=detail)


def lacking(name: str, detail: str, remedy: str | None) -> Check:
    """The finding for what a build needs and the host lacks."""
    return Check(name=name, status=Status.MISSING, detail=detail, remedy=remedy)


def as_optional(checks: Iterable[Check]) -> list[Check]:
    """The same findings where a build works without what they miss."""
    return [check if check.is_ok else replace(check, status=Status.OPTIONAL) for check in checks]


def first_ok(checks: Iterable[Check]) -> Check:
    """The first check that is OK, or else the first of all; ``checks`` is not empty."""
    failed: Check | None = None
    for check in checks:
        if check.is_ok:
            return check
        failed = failed or check
    if failed is None:
        raise ValueError("nothing was checked")
    return failed


def is_ready(checks: Iterable[Check]) -> bool:
    """Whether a build can work."""
    return all(check.status is not Status.MISSING for check in checks)


def assess_runtime(
    *, prepared: Check, standalone: Check, tarball: Check, compiler: Check
) -> Sequence[Check]:
    """The ways to a CPython: one that is open makes the others optional."""
    ways = [prepared, standalone, tarball, compiler]
    if prepared.is_ok or standalone.is_ok or (tarball.is_ok and compiler.is_ok):
        return as_optional(ways)
    # A prepared runtime has no remedy of its own: a build by another way makes it.
    return [*as_optional([prepared]), standalone, tarball, compiler]


def assess_wheels(*, cached: Check, source: Check | None) -> Sequence[Check]:
    """The wheels: in the cache, or available from ``source``; None where no network may be used."""
    if source is None:
        return [cached]
    if cached.is_ok:
        return [cached, *as_optional([source])]
    # What the cache lacks is fetched if it can be, and then it is no lack.
    return [*as_optional([replace(cached, remedy=None)]), source]
