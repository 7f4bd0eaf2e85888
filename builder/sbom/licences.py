"""Finds the SPDX expression of what a part says about its licence."""

import functools
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from builder.base.cache import key_of
from builder.base.lazy import LazyModule
from builder.base.paths import PKGSPEC
from builder.sbom.model import LicenceFacts, Part
from builder.spec.licences import LicencesSpec
from builder.spec.validate import load_model

if TYPE_CHECKING:
    import license_expression
else:
    license_expression = LazyModule("license_expression")

LICENCES_FILE = PKGSPEC / "licences.toml"
_UNKNOWN_TEXT = {"", "unknown"}
_BSD = {"bsd", "bsd license"}
_REFERENCE = "LicenseRef-"
_parsing = threading.Lock()  # the parser makes its tables at its first use


@functools.cache
def licence_rules() -> LicencesSpec:
    """Return ``pkgspec/licences.toml``."""
    label = f"{PKGSPEC.name}/{LICENCES_FILE.stem}"
    return load_model(LicencesSpec, LICENCES_FILE, label, hint="the schema is in pkgspec/schema/")


@functools.cache
def rules_digest() -> str:
    """Return what identifies the rules: documents made by other rules are others."""
    return key_of(licence_rules().model_dump(mode="json"))


def licence_of(part: Part) -> str:
    """Return the SPDX expression of a part; empty if nothing says it.

    The correction of pkgspec/ comes first, then the part's own expression, the words of its
    licence field, and its classifiers: all of them if there are several, the stricter reading.
    """
    rules = licence_rules()
    for correction in rules.correction:
        if correction.name == part.name:
            return correction.licence
    facts = part.licence
    return (
        _valid(facts.expression)
        or _of_words(facts.text, facts, rules.words)
        or _of_classifiers(facts, rules.words)
    )


def join_licences(expressions: Iterable[str]) -> str:
    """Return the expression for parts that are all in one package, without repetitions."""
    terms = [f"({expression})" for expression in sorted(set(expressions))]
    with _parsing:
        parsed = _licensing().parse(" AND ".join(terms), validate=False)
        return str(parsed.simplify()) if parsed is not None else ""


def parse_licence(expression: str) -> "license_expression.LicenseExpression | None":
    """Return an expression as a tree; None if it is empty."""
    with _parsing:
        return _licensing().parse(expression, validate=False)


@functools.cache
def simple_licences(expression: str) -> tuple[str, ...]:
    """Return the licences that an expression names, sorted; one with an exception is one."""
    parsed = parse_licence(expression)
    return tuple(sorted(map(str, parsed.literals))) if parsed is not None else ()


def _of_words(text: str, facts: LicenceFacts, words: Mapping[str, str]) -> str:
    lowered = text.strip().lower()
    if lowered in _UNKNOWN_TEXT:
        return ""
    if lowered in _BSD:
        return _bsd_of(facts)
    return words.get(lowered) or _valid(text.strip())


def _of_classifiers(facts: LicenceFacts, words: Mapping[str, str]) -> str:
    found = (_of_words(line.rpartition("::")[2], facts, words) for line in facts.classifiers)
    named = sorted({word for word in found if word})
    return " AND ".join(named)


def _bsd_of(facts: LicenceFacts) -> str:
    """Return which BSD licence the text is: the third clause forbids endorsement."""
    if not facts.files:
        return "LicenseRef-BSD"  # which of them, nobody says
    return "BSD-3-Clause" if facts.endorsement else "BSD-2-Clause"


@functools.cache
def _valid(expression: str) -> str:
    """Return an expression in SPDX's spelling; empty if it is none."""
    if not expression or (len(expression.split()) > 1 and not _has_operator(expression)):
        return ""
    expression = expression.replace("/", " OR ")  # cargo's old spelling
    known = _REFERENCE not in expression
    try:
        with _parsing:
            parsed = _licensing().parse(expression, validate=known, strict=known)
    except license_expression.ExpressionError:
        return ""
    return str(parsed) if parsed is not None else ""


def _has_operator(expression: str) -> bool:
    words = {word.upper() for word in expression.split()}
    return bool(words & {"AND", "OR", "WITH", "/"})


@functools.cache
def _licensing() -> "license_expression.Licensing":
    return license_expression.get_spdx_licensing()
