"""A finding about this host. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Status(StrEnum):
    """The result of a check."""

    OK = "ok"
    MISSING = "missing"  # without it no build works
    OPTIONAL = "optional"  # missing, but a build works without it


@dataclass(frozen=True, kw_only=True)
class Check:
    """A requirement of a build: whether the host meets it, and the fix if not."""

    name: str
    status: Status
    detail: str
    remedy: str | None = None

    @property
    def is_ok(self) -> bool:
        """Whether nothing needs a fix."""
        return self.status is Status.OK


def found(name: str, detail: str) -> Check:
    """Return the finding for a requirement that the host meets."""
    return Check(name=name, status=Status.OK, detail=detail)


def lacking(name: str, detail: str, remedy: str | None) -> Check:
    """Return the finding for a requirement that the host lacks."""
    return Check(name=name, status=Status.MISSING, detail=detail, remedy=remedy)


def as_optional(checks: Iterable[Check]) -> list[Check]:
    """Return the findings with each lack as optional: a build works without it."""
    return [check if check.is_ok else replace(check, status=Status.OPTIONAL) for check in checks]


def first_ok(checks: Iterable[Check]) -> Check:
    """Return the first check that is OK, or else the first; ``checks`` is not empty."""
    failed: Check | None = None
    for check in checks:
        if check.is_ok:
            return check
        failed = failed or check
    if failed is None:
        raise ValueError("nothing was checked")
    return failed


def is_ready(checks: Iterable[Check]) -> bool:
    """Return whether a build can work."""
    return all(check.status is not Status.MISSING for check in checks)


def assess_runtime(
    *, prepared: Check, standalone: Check, tarball: Check, compiler: Check
) -> Sequence[Check]:
    """Assess the sources of a CPython: an available source makes the others optional."""
    ways = [prepared, standalone, tarball, compiler]
    if prepared.is_ok or standalone.is_ok or (tarball.is_ok and compiler.is_ok):
        return as_optional(ways)
    # A prepared runtime has no fix of its own: a build from another source makes it.
    return [*as_optional([prepared]), standalone, tarball, compiler]


def assess_wheels(*, cached: Check, source: Check | None) -> Sequence[Check]:
    """Assess the wheels: cached, or available from ``source``; None means without network."""
    if source is None:
        return [cached]
    if cached.is_ok:
        return [cached, *as_optional([source])]
    # A wheel absent from the cache is no lack if it can be fetched.
    return [*as_optional([replace(cached, remedy=None)]), source]
