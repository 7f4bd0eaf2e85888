"""The rules of a service for its answers, beyond their kinds; a recipe's [[constraint]]."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from backendai_ctl.answers.kinds import Address, Value
from backendai_ctl.answers.site import Site
from backendai_ctl.base.errors import RecipeError, SiteError


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """A rule for one answer; ``message`` says in words what the answer must be."""

    site: str
    rule: str  # a key of RULES
    message: str


def check_constraints(constraints: Iterable[Constraint], site: Site, label: str) -> None:
    """Raise SiteError with every answer that breaks a rule."""
    problems = [
        f"{label}: {constraint.site} = {site[constraint.site]!r}: must be {constraint.message}"
        for constraint in constraints
        if not _check_of(constraint)(site[constraint.site])
    ]
    if problems:
        raise SiteError(problems, hint="correct the file and run this again")


def _check_of(constraint: Constraint) -> Callable[[Value], bool]:
    if constraint.rule not in RULES:
        known = ", ".join(RULES)
        raise RecipeError(
            f"a recipe has the rule {constraint.rule!r} for {constraint.site}; known: {known}"
        )
    return RULES[constraint.rule]


def _is_loopback(value: Value) -> bool:
    """Whether it is an address of this host alone, as a number: Docker publishes on those only."""
    listed = value if isinstance(value, list) else [str(value)]
    try:
        return all(
            ipaddress.ip_address(Address.parse(address).host).is_loopback for address in listed
        ) and (len(listed) == 1)
    except ValueError:
        return False


RULES: Mapping[str, Callable[[Value], bool]] = {
    "loopback": _is_loopback,
    "empty": lambda value: not value,
    "without-tls": lambda value: value == "prefer",
}
