"""A site's own packages: plug-ins of services, in a folder beside ``pkgspec/``.

``BUILDER_PKGSPEC_EXTRA`` names it; it has ``families/*.toml``, ``locks/`` and, for wheels that no
index has, ``wheels/``. So a site adds packages without a change of the project's own files.
"""

from collections.abc import Mapping
from pathlib import Path

from builder.spec.family import FamilySpec
from builder.spec.release import ReleaseSpec
from builder.spec.schema import PackageSpec
from builder.spec.validate import read_toml, validate

# Those of every add-on, where a family names none.
_SCRIPTS = {
    "deb": {"postrm": "debian/addon.postrm.sh.j2"},
    "rpm": {
        "post": "rpm/addon.post.sh.j2",
        "postun": "rpm/addon.postun.sh.j2",
        "posttrans": "rpm/addon.posttrans.sh.j2",
    },
}


def load_families(
    extra: Path, packages: Mapping[str, PackageSpec], problems: list[str]
) -> dict[str, FamilySpec]:
    """Load the families of a site by their labels; what is wrong is added to ``problems``.

    ``packages`` are the project's, which no family may have another time.
    """
    found: dict[str, FamilySpec] = {}
    known = dict(packages)
    files = sorted((extra / "families").glob("*.toml"))
    if not files:
        problems.append(f"{extra}: has no families/*.toml, and BUILDER_PKGSPEC_EXTRA names it")
    for path in files:
        label = str(path)
        table, unreadable = read_toml(path, label)
        family, invalid = (
            (None, []) if unreadable else validate(FamilySpec, {**_SCRIPTS, **table}, label)
        )
        problems += [*unreadable, *invalid]
        if family is None:
            continue
        wrong = family.problems(known, label)
        problems += wrong
        if not wrong:
            found[label] = family
            known |= family.expand(known)
    return found


def with_families(
    releases: Mapping[str, ReleaseSpec], families: Mapping[str, FamilySpec], problems: list[str]
) -> dict[str, ReleaseSpec]:
    """Return the releases with the packages of the families that are for them. Pure."""
    made = dict(releases)
    for label, family in families.items():
        problems += [
            f"{label}: 'releases' names '{name}', which is no release line"
            for name in family.releases
            if name not in releases
        ]
        for name, release in made.items():
            if family.host in release.packages and name in (family.releases or (name,)):
                update = {"packages": (*release.packages, *family.names())}
                made[name] = release.model_copy(update=update)
    return made
