"""Judges the licences of a package by the policy in ``pkgspec/licences.toml``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.base import log
from builder.base.errors import PayloadError
from builder.base.lazy import LazyModule
from builder.base.words import name_some
from builder.sbom.licences import licence_of, licence_rules, parse_licence
from builder.sbom.model import Inventory, Part, PartKind
from builder.spec.licences import LicencesSpec, PolicySpec, Verdict

if TYPE_CHECKING:
    import license_expression
else:
    license_expression = LazyModule("license_expression")

_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A part that the policy does not simply allow."""

    name: str
    licence: str
    verdict: Verdict

    def __str__(self) -> str:
        return f"{self.name} ({self.licence or 'no licence stated'})"


def obey_policy(package: str, inventory: Inventory) -> None:
    """Raise PayloadError if a part is denied; warn of parts that a person has to review."""
    judged = list(judge(inventory, licence_rules()))
    denied = [str(found) for found in judged if found.verdict is Verdict.DENY]
    if denied:
        raise PayloadError(
            f"{package}: the licence policy denies {name_some(denied, _SHOWN)}",
            hint="leave the part out, or change [policy] in pkgspec/licences.toml",
        )
    if judged:
        named = name_some([str(found) for found in judged], _SHOWN)
        log.warn(f"{package}: licences to be reviewed: {named}; see pkgspec/licences.toml")


def judge(inventory: Inventory, rules: LicencesSpec) -> Iterator[Judged]:
    """Yield the parts that are denied, and those to be reviewed that nobody has reviewed."""
    reviewed = {(row.name, row.licence) for row in rules.reviewed}
    for part in inventory.all_parts():
        licence = licence_of(part)
        if not licence and not _states_its_licence(part):
            continue
        verdict = verdict_on(licence, rules.policy)
        is_reviewed = verdict is Verdict.REVIEW and (part.name, licence) in reviewed
        if verdict is not Verdict.ALLOW and not is_reviewed:
            yield Judged(name=part.name, licence=licence, verdict=verdict)


def _states_its_licence(part: Part) -> bool:
    """Return whether a part of this kind should say what its licence is.

    A library inside of a wheel is covered by the wheel's own statement.
    """
    return part.kind in (PartKind.WHEEL, PartKind.RUNTIME)


def verdict_on(expression: str, policy: PolicySpec) -> Verdict:
    """Return the verdict: the mildest of alternatives, the strictest of what applies together."""
    parsed = parse_licence(expression) if expression else None
    return policy.otherwise if parsed is None else _weigh(parsed, policy)


def _weigh(node: "license_expression.LicenseExpression", policy: PolicySpec) -> Verdict:
    children = [] if node.isliteral else [_weigh(child, policy) for child in node.args]
    if not children:
        return policy.verdict(str(node))
    choose = min if isinstance(node, license_expression.OR) else max
    return choose(children, key=lambda verdict: verdict.strictness)
