"""Finds the packages that a change of locks touches, by comparing plans. Pure."""

import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.base.model import Arch
from builder.lock import Lock
from builder.plan import PackagePlan, PlanInput, plan_package
from builder.plan.render import Sources
from builder.spec import ReleaseSpec, Spec
from builder.spec.release import ChangelogSpec
from builder.stage.entry_points import parse_entry_points

Plans = Mapping[tuple[str, Arch], PackagePlan]


@dataclass(frozen=True, kw_only=True)
class Family:
    """All packages of one release, as they are planned."""

    spec: Spec
    release: ReleaseSpec
    sources: Sources

    def plans(self, locks: Mapping[str, Lock], entry: ChangelogSpec | None = None) -> Plans:
        """Plan every package with these locks, for each architecture that it has.

        ``entry`` is one more entry of the changelog.
        """
        release = self.release
        if entry is not None:
            release = release.model_copy(update={"changelog": (entry, *release.changelog)})
        packages = [self.spec.packages[name] for name in release.packages]
        given = PlanInput(
            project=self.spec.project,
            release=release,
            sources=self.sources,
            prune=self.spec.prune,
            packages=packages,
            locks={p.name: locks[p.name] for p in packages if p.has_environment},
        )
        return {
            (package.name, arch): plan_package(package, locks.get(package.name), arch, given)
            for package in packages
            for arch in (package.archs if package.is_native else package.archs[:1])
        }


def raised_entry(
    family: Family,
    before: Plans,
    locks: Mapping[str, Lock],
    entry: ChangelogSpec,
    others: Collection[str] = (),
) -> ChangelogSpec:
    """Return ``entry`` with all packages to raise, and their next revision.

    A package is raised if its plan with the new ``locks`` is another one, if it is among
    ``others``, or if it names the version of a package that is raised: a published version
    never gets other content.
    """
    raised = set(others)
    while True:
        entry = _of(family.release, entry, raised) if raised else entry
        after = family.plans(locks, entry if raised else None)
        differing = {name for name, arch in after if after[name, arch] != before[name, arch]}
        if differing <= raised:
            return entry
        raised |= differing


def _of(release: ReleaseSpec, entry: ChangelogSpec, raised: Collection[str]) -> ChangelogSpec:
    names = tuple(name for name in release.packages if name in raised)
    revision = max(release.revision_of(name) for name in names) + 1
    return entry.model_copy(update={"packages": names, "revision": revision})


def programs_of(wheel: Path) -> dict[str, str]:
    """Return the programs that a wheel installs, by name, with what identifies each."""
    found = {}
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            parts = member.filename.split("/")
            if parts[0].endswith(".data") and parts[1:2] == ["scripts"]:
                found[parts[-1]] = f"{member.CRC:08x}"
            elif parts[0].endswith(".dist-info") and parts[1:] == ["entry_points.txt"]:
                found |= _console_scripts(archive.read(member).decode("utf-8"))
    return found


def _console_scripts(text: str) -> dict[str, str]:
    parser = parse_entry_points(text)
    groups = [name for name in parser.sections() if name.endswith("_scripts")]
    return {name: value for group in groups for name, value in parser[group].items()}
