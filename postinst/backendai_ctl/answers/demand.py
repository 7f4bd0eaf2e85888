"""What a service asks of the answers beyond their kind; a recipe's [[demand]]."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from backendai_ctl.answers.questions import Address, Value
from backendai_ctl.answers.site import Site
from backendai_ctl.base.errors import RecipeError, SiteError


@dataclass(frozen=True, kw_only=True)
class Demand:
    """One answer, what it has to be, and the words that say so."""

    site: str
    must_be: str  # a key of KINDS
    says: str


def check_demands(demands: Iterable[Demand], site: Site, label: str) -> None:
    """Raise SiteError with every answer that is not as demanded."""
    problems = [
        f"{label}: {one.site} = {site[one.site]!r}: must be {one.says}"
        for one in demands
        if not _kind(one)(site[one.site])
    ]
    if problems:
        raise SiteError(problems, hint="correct the file and run this again")


def _kind(demand: Demand) -> Callable[[Value], bool]:
    if demand.must_be not in KINDS:
        known = ", ".join(KINDS)
        raise RecipeError(f"a recipe demands {demand.must_be!r} of {demand.site}; known: {known}")
    return KINDS[demand.must_be]


def _is_loopback(value: Value) -> bool:
    """One address of this host alone, by number: that is what Docker publishes on."""
    listed = value if isinstance(value, list) else [str(value)]
    try:
        return all(
            ipaddress.ip_address(Address.parse(one).host).is_loopback for one in listed
        ) and (len(listed) == 1)
    except ValueError:
        return False


KINDS: Mapping[str, Callable[[Value], bool]] = {
    "loopback": _is_loopback,
    "empty": lambda value: not value,
    "without-tls": lambda value: value == "prefer",
}
