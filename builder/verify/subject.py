"""The subject of a verification: package files, their dependencies, and their services."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.base import log
from builder.base.errors import UsageError
from builder.base.model import PackageFormat
from builder.inspect import Package, inspect_package
from builder.inspect.model import Relation

# A service's recipe: its name is the service's.
_RECIPE = re.compile(r"/usr/lib/backendai/recipes/([a-z0-9-]+)\.toml")
# A package with such a file seeds the stores that the services share.
_SEED = re.compile(r"/usr/lib/backendai/seed/[a-z0-9-]+\.toml")
_DEPENDENCY = re.compile(r"([a-z0-9][a-z0-9+.-]+)(?: ?\(?(?:=|>=) ?([^ )]+)\)?)?")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Packages of one format that are installed together."""

    fmt: PackageFormat
    files: tuple[Path, ...]
    names: tuple[str, ...]
    services: tuple[str, ...]
    fills_stores: bool


def load_subjects(files: Iterable[Path]) -> list[Subject]:
    """Load the packages of each format, with their dependencies in the same folders.

    Raises UsageError if a file is no package or a name comes twice.
    """
    given = {path.resolve(): inspect_package(path) for path in files}
    subjects = []
    for fmt in PackageFormat:
        packages = [package for package in given.values() if package.contents.fmt is fmt]
        if packages:
            subjects.append(_subject(fmt, _with_companions(packages)))
    return subjects


def _subject(fmt: PackageFormat, packages: Sequence[Package]) -> Subject:
    names = [package.metadata.name for package in packages]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"more than one {fmt} of {', '.join(twice)}", hint="give one version and architecture"
        )
    paths = [file.path for package in packages for file in package.contents.files]
    services = [found[1] for path in paths if (found := _RECIPE.fullmatch(path))]
    return Subject(
        fmt=fmt,
        files=tuple(package.path.resolve() for package in packages),
        names=tuple(names),
        services=tuple(sorted(services)),
        fills_stores=any(_SEED.fullmatch(path) for path in paths),
    )


def _with_companions(packages: Sequence[Package]) -> list[Package]:
    """Return the packages and, recursively, their dependencies in the same folders."""
    found = {package.metadata.name: package for package in packages}
    todo = list(packages)
    while todo:
        package = todo.pop()
        for needed in _needed(package):
            if needed in found:
                continue
            companion = _companion(package, needed)
            if companion is not None:
                log.step(f"taking {companion.path.name}, too: {package.metadata.name} needs it")
                found[needed] = companion
                todo.append(companion)
    return list(found.values())


def _needed(package: Package) -> list[str]:
    """Return the names that it depends on without alternatives."""
    rows = package.contents.relations.get(Relation.DEPENDS, ())
    matches = [_DEPENDENCY.fullmatch(row.strip()) for row in rows]
    return [match[1] for match in matches if match]


def _companion(package: Package, name: str) -> Package | None:
    """Return the package ``name`` of the same version; a revision may be raised for it alone."""
    pattern = package.contents.fmt.file_pattern(name)
    version = package.metadata.version
    found = [
        other
        for path in sorted(package.path.parent.glob(pattern))
        if (other := inspect_package(path)).metadata.name == name
        and _upstream(other.metadata.version) == _upstream(version)
    ]
    return max(found, key=lambda other: _revision(other.metadata.version), default=None)


def _upstream(version: str) -> str:
    return version.rpartition("-")[0]


def _revision(version: str) -> int:
    revision = version.rpartition("-")[2]
    return int(revision) if revision.isdecimal() else 0
