"""Loads the whole of ``pkgspec/`` and reports every problem at once."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from builder.base.errors import SpecError, UsageError
from builder.spec.extra import load_families, with_families
from builder.spec.family import FamilySpec
from builder.spec.prune import PruneSpec
from builder.spec.release import ReleaseSpec
from builder.spec.schema import PackageSpec, ProjectSpec
from builder.spec.scripts import with_scripts
from builder.spec.service import with_service
from builder.spec.types import Strict
from builder.spec.validate import Model, read_toml, validate


@dataclass(frozen=True, kw_only=True)
class Spec:
    """All of ``pkgspec/`` but the locks."""

    root: Path
    project: ProjectSpec
    packages: Mapping[str, PackageSpec]
    releases: Mapping[str, ReleaseSpec]
    prune: PruneSpec = field(default_factory=PruneSpec)
    own: frozenset[str] = frozenset()  # packages of the site, from BUILDER_PKGSPEC_EXTRA

    def release(self, wanted: str | None) -> ReleaseSpec:
        """Return the release line of this name or version, or the default one."""
        if wanted is None:
            return next(release for release in self.releases.values() if release.default)
        for release in self.releases.values():
            if wanted in (release.name, release.version):
                return release
        raise UsageError(
            f"unknown release '{wanted}'{_guess(wanted, self.releases)}",
            hint="a release line is a file in pkgspec/releases/",
        )

    def select(self, release: ReleaseSpec, wanted: Iterable[str]) -> list[PackageSpec]:
        """Return the packages of these names, or all of the release; a short name suffices.

        Raises UsageError for a name that the release lacks.
        """
        names = list(dict.fromkeys(self._full_name(release, name) for name in wanted))
        return [self.packages[name] for name in names or release.packages]

    def _full_name(self, release: ReleaseSpec, name: str) -> str:
        for candidate in (name, f"backendai-{name}"):
            if candidate in release.packages:
                return candidate
        raise UsageError(
            f"release {release.name} has no package '{name}'{_guess(name, release.packages)}",
            hint=f"it has: {', '.join(release.packages)}",
        )


def _guess(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def load_spec(root: Path, extra: Path | None = None) -> Spec:
    """Load ``root`` (a ``pkgspec/`` folder), and a site's own packages in ``extra``.

    Raises SpecError with every problem.
    """
    problems: list[str] = []
    project = _load_file(ProjectSpec, root / "project.toml", root, problems)
    packages = _load_folder(PackageSpec, root / "packages", root, problems)
    releases = _load_folder(ReleaseSpec, root / "releases", root, problems)
    problems += _name_problems({"packages": packages, "releases": releases})
    packages = {name: with_service(found, root.parent) for name, found in packages.items()}
    known = _stems(root / "packages")
    addons = _load_addons(root, packages, known, problems)
    known += list(addons)
    own: dict[str, PackageSpec] = {}
    if extra is not None:
        families = load_families(extra, packages | addons, problems)
        for family in families.values():
            own |= family.expand(packages)
        releases = with_families(releases, families, problems)
        known += list(own)
    addons |= own
    packages = {
        name: with_scripts(found, root.parent) for name, found in (packages | addons).items()
    }
    problems += _release_problems(releases, packages, known, project)
    problems += _sample_problems(releases, packages)
    problems += _default_problems(releases, _stems(root / "releases"))
    prune = _load_prune(root, problems)
    if problems or project is None:
        raise SpecError(sorted(set(problems)), hint="the schema is in pkgspec/schema/")
    return Spec(
        root=root,
        project=project,
        packages=packages,
        releases=releases,
        prune=prune,
        own=frozenset(own),
    )


def _load_file(model: type[Model], path: Path, root: Path, problems: list[str]) -> Model | None:
    label = f"{root.name}/{path.relative_to(root).with_suffix('')}"
    table, unreadable = read_toml(path, label)
    if unreadable:
        problems += unreadable
        return None
    loaded, invalid = validate(model, table, label)
    problems += invalid
    return loaded


def _load_folder(
    model: type[Model], folder: Path, root: Path, problems: list[str]
) -> dict[str, Model]:
    found: dict[str, Model] = {}
    if not folder.is_dir():
        problems.append(f"{root.name}/{folder.name}: no such folder")
    for path in sorted(folder.glob("*.toml")):
        loaded = _load_file(model, path, root, problems)
        if loaded is not None:
            found[path.stem] = loaded
    return found


def _load_addons(
    root: Path, packages: Mapping[str, PackageSpec], known: Sequence[str], problems: list[str]
) -> dict[str, PackageSpec]:
    """Load the packages that the family's file stands for; a project may have none."""
    path = root / "accelerators.toml"
    family = _load_file(FamilySpec, path, root, problems) if path.exists() else None
    if family is None:
        return {}
    if family.host in known and family.host not in packages:
        return {}  # its problems are reported already
    found = family.problems(packages)
    problems += found
    return {} if found else family.expand(packages)


def _load_prune(root: Path, problems: list[str]) -> PruneSpec:
    """Load the prune rules; a project may have none."""
    path = root / "prune.toml"
    prune = _load_file(PruneSpec, path, root, problems) if path.exists() else None
    if prune is None:
        return PruneSpec()
    problems += prune.problems()
    return prune


def _stems(folder: Path) -> list[str]:
    """Return the stems of a folder's files, including files with problems of their own."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def _name_problems(folders: Mapping[str, Mapping[str, Strict]]) -> list[str]:
    """Return a problem for each file that is not named after its content, which misleads."""
    return [
        f"pkgspec/{folder}/{stem}: is named '{stem}' but says name = '{name}'"
        for folder, files in folders.items()
        for stem, model in files.items()
        if (name := getattr(model, "name", stem)) != stem
    ]


def _release_problems(
    releases: Mapping[str, ReleaseSpec],
    packages: Mapping[str, PackageSpec],
    known: Sequence[str],  # including files with problems of their own
    project: ProjectSpec | None,
) -> list[str]:
    problems = [
        f"pkgspec/releases/{release.name}: 'packages' names '{name}', "
        f"which pkgspec/packages/ does not have{_guess(name, known)}"
        for release in releases.values()
        for name in release.packages
        if name not in known
    ]
    problems += [
        f"pkgspec/releases/{release.name}: 'extra-requirements' names '{name}', "
        f"which is not among its packages{_guess(name, release.packages)}"
        for release in releases.values()
        for name in release.extra_requirements
        if name not in release.packages
    ]
    problems += [
        f"pkgspec/packages/{needing}: 'depends-release' names '{name}', which the release "
        f"{release.name} does not have{_guess(name, release.packages)}"
        for release in releases.values()
        for needing in release.packages
        if needing in packages
        for name in packages[needing].depends_release
        if name not in release.packages
    ]
    if project and project.common not in known:
        problems.append(f"pkgspec/project: 'common' names '{project.common}', an unknown package")
    return problems + (_runtime_problems(releases, packages, project) if project else [])


def _runtime_problems(
    releases: Mapping[str, ReleaseSpec], packages: Mapping[str, PackageSpec], project: ProjectSpec
) -> list[str]:
    """Return the problems of the one package that has the runtime, which services need."""
    problems = [
        f"pkgspec/packages/{name}: 'runtime' is {str(package.runtime).lower()}, and 'runtime' of"
        f" pkgspec/project names '{project.runtime}'"
        for name, package in packages.items()
        if package.runtime != (name == project.runtime)
    ]
    for release in releases.values():
        services = [name for name in release.packages if name in packages and packages[name].python]
        if services and project.runtime not in release.packages:
            problems.append(
                f"pkgspec/releases/{release.name}: 'packages' lacks '{project.runtime}', whose"
                f" Python {services[0]} runs on"
            )
    return problems


def _sample_problems(
    releases: Mapping[str, ReleaseSpec], packages: Mapping[str, PackageSpec]
) -> list[str]:
    """Return a problem for each sample of a release that replaces no sample of its packages."""
    problems = []
    for release in releases.values():
        listed = [packages[name] for name in release.packages if name in packages]
        if len(listed) != len(release.packages):  # reported already
            continue
        targets = [sample.target for package in listed for sample in package.sample]
        problems += [
            f"pkgspec/releases/{release.name}: a [[sample]] is at {sample.target}, where no"
            f" package of the release has one{_guess(sample.target, targets)}"
            for sample in release.sample
            if sample.target not in targets
        ]
    return problems


def _default_problems(releases: Mapping[str, ReleaseSpec], files: Sequence[str]) -> list[str]:
    if not files:
        return ["pkgspec/releases: there is no release"]
    if len(releases) != len(files):  # a release that did not load may be the default
        return []
    defaults = [release.name for release in releases.values() if release.default]
    if len(defaults) == 1:
        return []
    listed = ", ".join(defaults) or "none"
    return [f"pkgspec/releases: one release is the default; these say so: {listed}"]
