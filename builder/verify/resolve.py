"""Resolves the dependencies of packages by what a distribution provides. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from builder.base.model import PackageFormat
from builder.inspect import Package
from builder.inspect.model import Relation
from builder.verify.provides import Capabilities
from builder.verify.requirements import find_satisfied, parse_requirement

_NEEDED = (Relation.PRE_DEPENDS, Relation.DEPENDS)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a distribution has, and how that is known."""

    distribution: str
    known_by: str  # "recorded 2026-11-26", or the file with its package list
    capabilities: Capabilities
    payloads: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A dependency of a package."""

    package: str
    requirement: str
    by: str = ""  # the alternative that satisfies it


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """How the packages of one format fit one distribution."""

    distribution: str
    fmt: PackageFormat
    known_by: str
    packages: int
    unmet: tuple[Row, ...]
    fallbacks: tuple[Row, ...]  # by another than the first alternative
    not_recommended: tuple[Row, ...]  # recommended, and the distribution has it not
    unreadable: tuple[str, ...]  # packages whose payload it does not unpack

    @property
    def ok(self) -> bool:
        """Whether all packages can be installed."""
        return not self.unmet and not self.unreadable


def resolve_packages(fmt: PackageFormat, packages: Sequence[Package], offer: Offer) -> Resolution:
    """Resolve packages that are installed together; raises PayloadError."""
    provided = {**offer.capabilities}
    for name, versions in _own(packages).items():
        provided[name] = (*provided.get(name, ()), *versions)
    needed = list(_rows(fmt, packages, _NEEDED, provided))
    wished = _rows(fmt, packages, (Relation.RECOMMENDS,), provided)
    unreadable = [
        package.metadata.name
        for package in packages
        # rpm has a dependency for it.
        if fmt is PackageFormat.DEB and package.contents.compression not in offer.payloads
    ]
    return Resolution(
        distribution=offer.distribution,
        fmt=fmt,
        known_by=offer.known_by,
        packages=len(packages),
        unmet=tuple(row for row in needed if not row.by),
        fallbacks=tuple(row for row in needed if row.by and not _first(fmt, row)),
        not_recommended=tuple(row for row in wished if not row.by),
        unreadable=tuple(unreadable),
    )


def asked_names(fmt: PackageFormat, packages: Sequence[Package]) -> set[str]:
    """Return all names that packages depend on or recommend, except those among them."""
    kinds = (*_NEEDED, Relation.RECOMMENDS)
    return {
        alternative.name
        for package in packages
        for kind in kinds
        for text in package.contents.relations.get(kind, ())
        for alternative in parse_requirement(fmt, text)
    } - set(_own(packages))


def _own(packages: Sequence[Package]) -> Capabilities:
    """Return what the packages provide themselves."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for package in packages:
        found[package.metadata.name].append(package.metadata.version)
        for text in package.contents.relations.get(Relation.PROVIDES, ()):
            (provide,) = parse_requirement(package.contents.fmt, text)
            found[provide.name].append(provide.version)
    return {name: tuple(versions) for name, versions in found.items()}


def _rows(
    fmt: PackageFormat,
    packages: Sequence[Package],
    kinds: Sequence[Relation],
    provided: Capabilities,
) -> Iterator[Row]:
    for package in packages:
        for kind in kinds:
            for text in package.contents.relations.get(kind, ()):
                found = find_satisfied(fmt, parse_requirement(fmt, text), provided)
                yield Row(
                    package=package.metadata.name,
                    requirement=text,
                    by=found.name if found is not None else "",
                )


def _first(fmt: PackageFormat, row: Row) -> bool:
    return parse_requirement(fmt, row.requirement)[0].name == row.by
