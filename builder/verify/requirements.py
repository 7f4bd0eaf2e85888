"""Dependencies of packages, and whether something satisfies them. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from builder.base.errors import PayloadError
from builder.base.model import PackageFormat
from builder.repo.version import compare_deb, compare_rpm
from builder.verify.provides import Capabilities

_DEB = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?::\w+)?(?: ?\((?P<sign><<|<=|=|>=|>>) ?(?P<version>\S+)\))?"
)
_RPM = re.compile(r"(?P<name>\S+)(?: (?P<sign><|<=|=|>=|>) (?P<version>\S+))?")
_HOLDS = {
    "<": lambda order: order < 0,
    "<<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    "=": lambda order: order == 0,
    ">=": lambda order: order >= 0,
    ">": lambda order: order > 0,
    ">>": lambda order: order > 0,
}


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """A name, and the versions of it that are wanted."""

    name: str
    sign: str = ""
    version: str = ""


def parse_requirement(fmt: PackageFormat, text: str) -> tuple[Alternative, ...]:
    """Return the alternatives of a dependency, any of which is enough.

    Raises PayloadError for one that is not understood: an rich dependency of rpm other
    than a list of alternatives.
    """
    if fmt is PackageFormat.DEB:
        parts, pattern = text.split("|"), _DEB
    else:
        whole = text.removeprefix("(").removesuffix(")") if text.startswith("(") else text
        parts, pattern = whole.split(" or "), _RPM
    matches = [pattern.fullmatch(part.strip()) for part in parts]
    found = [match for match in matches if match is not None]
    if len(found) != len(parts):
        raise PayloadError(
            f"the {fmt}'s dependency '{text}' is not understood",
            hint="only names, their versions and alternatives of these can be resolved",
        )
    return tuple(
        Alternative(name=match["name"], sign=match["sign"] or "", version=match["version"] or "")
        for match in found
    )


def find_satisfied(
    fmt: PackageFormat, alternatives: Sequence[Alternative], provided: Capabilities
) -> Alternative | None:
    """Return the first alternative that ``provided`` satisfies."""
    return next(
        (
            alternative
            for alternative in alternatives
            if any(
                _fits(fmt, alternative, version) for version in provided.get(alternative.name, ())
            )
        ),
        None,
    )


def _fits(fmt: PackageFormat, wanted: Alternative, version: str) -> bool:
    if not wanted.sign:
        return True
    if not version:
        return False  # a provide without a version satisfies no dependency on one
    return bool(_HOLDS[wanted.sign](_order(fmt, version, wanted.version)))


def _order(fmt: PackageFormat, provided: str, wanted: str) -> int:
    if fmt is PackageFormat.DEB:
        return compare_deb(provided, wanted)
    if "-" not in wanted or "-" not in provided:  # rpm then looks at no release
        provided, wanted = _without_release(provided), _without_release(wanted)
    return compare_rpm(provided, wanted)


def _without_release(version: str) -> str:
    return version.partition("-")[0]
