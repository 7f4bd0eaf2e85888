"""The relations of a package to the others of its release. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from builder.base.model import PackageFormat, full_version
from builder.spec import PackageSpec, ReleaseSpec
from builder.spec.schema import ProjectSpec

_LAST_NUMBER = re.compile(r"(\d+)\D*$")
# A service with its own CPython, as all were before 26.9.6-2, does not provide this.
_ON_RUNTIME = "-on-runtime"


@dataclass(frozen=True, kw_only=True)
class Relations:
    """What a package says of other packages of its release, in the words of one format."""

    depends: tuple[str, ...]
    breaks: tuple[str, ...] = ()  # dpkg's word
    conflicts: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()


def plan_relations(
    package: PackageSpec,
    fmt: PackageFormat,
    project: ProjectSpec,
    release: ReleaseSpec,
    members: Sequence[PackageSpec],
) -> Relations:
    """Return the relations of ``package`` to ``members``, the packages of its release."""
    common = [project.common] if package.depends_common else []
    exact = [
        fmt.relation(name, "=", release.full_version_of(name))
        for name in (*common, *package.depends_release)
    ]
    depends = (*_runtime(package, fmt, project, release), *exact)
    older = _older_services(package, fmt, release, members)
    provides = _interfaces(package, fmt, release)
    if fmt is PackageFormat.RPM:
        return Relations(depends=depends, conflicts=older, provides=provides)
    breaks = (*older, *_broken_addons(package, release, members))
    return Relations(depends=depends, breaks=breaks, provides=provides)


def _runtime(
    package: PackageSpec, fmt: PackageFormat, project: ProjectSpec, release: ReleaseSpec
) -> tuple[str, ...]:
    """Return the bounds for the runtime: of this version, not older than what is built with it.

    A runtime that is raised alone later fits, and does not change what the package asks for.
    """
    names = release.packages
    needs = (
        package.has_environment or package.name == project.common or bool(package.runtime_wheels)
    )
    if not needs or project.runtime not in names:
        return ()
    revision = release.revision_beside(project.runtime, package.name)
    version = release.package_version
    return (
        fmt.relation(project.runtime, ">=", full_version(version, revision)),
        fmt.relation(project.runtime, fmt.sign_before, next_version(version)),
    )


def next_version(version: str) -> str:
    """Return a version above all revisions of ``version`` and at most at the next one.

    "26.9.7~" for "26.9.6": the tilde sorts before any pre-release of 26.9.7.
    """
    raised = _LAST_NUMBER.sub(lambda match: str(int(match[1]) + 1), version)
    return f"{raised}~"


def _older_services(
    package: PackageSpec, fmt: PackageFormat, release: ReleaseSpec, members: Sequence[PackageSpec]
) -> tuple[str, ...]:
    """Return the services that a runtime does not fit: those older than when it was raised last.

    A wheel that is no longer shared is in the services' own packages from then on, and a new
    runtime without it would break those that have it not yet. Services that bring their own
    CPython are not meant: apt unpacks what a package breaks before the package, and would
    replace them while there is no runtime yet; and dnf would not go back to them.
    """
    if not package.runtime:
        return ()
    version = release.package_version
    return tuple(
        fmt.relation(
            f"{name}{_ON_RUNTIME}",
            fmt.sign_before,
            full_version(version, release.revision_beside(name, package.name)),
        )
        for name in sorted(member.name for member in members if member.has_environment)
    )


def _interfaces(package: PackageSpec, fmt: PackageFormat, release: ReleaseSpec) -> tuple[str, ...]:
    """Return the virtual package by which a runtime's Breaks and Conflicts refer to a service."""
    if not package.has_environment:
        return ()
    version = release.full_version_of(package.name)
    return (fmt.relation(f"{package.name}{_ON_RUNTIME}", "=", version),)


def _broken_addons(
    package: PackageSpec, release: ReleaseSpec, members: Sequence[PackageSpec]
) -> tuple[str, ...]:
    """Return the Breaks by which dpkg refuses a host whose add-ons stay behind.

    dpkg checks the packages that an unpacked package breaks, not the packages that depend
    on its old version (deb-control(5)); rpm checks both.
    """
    names = [
        member.name for member in members if member.addon and member.addon.host == package.name
    ]
    relation = PackageFormat.DEB.relation
    return tuple(
        relation(name, sign, release.full_version_of(name))
        for name in sorted(names)
        for sign in ("<<", ">>")
    )
