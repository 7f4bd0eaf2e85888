"""What a person has to look at before a release is built, by the file where the answer goes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from builder.base.parse import parse_toml
from builder.release.facts import Facts
from builder.release.migrations import Migrations
from builder.spec.recipes import read_recipe

# The folder of a service's data that its migrations belong to, by a part of their path.
_DATABASES = {"manager": "/manager/", "appproxy-coordinator": "/appproxy/coordinator/"}


@dataclass(frozen=True, kw_only=True)
class Review:
    """One thing for a person: where, and why."""

    file: str
    why: str


def find_reviews(services: Path, new: Facts, old: Facts) -> list[Review]:
    """Return all that the packages' data may not fit any more in ``new``, compared with ``old``.

    ``services`` is the folder with the data of each service.
    """
    return [
        *_migration_reviews(services, new, old),
        *_sample_reviews(services, new, old),
    ]


def _migration_reviews(services: Path, new: Facts, old: Facts) -> Iterator[Review]:
    for service, migrations in by_service(new).items():
        file = f"{services.parent.name}/{services.name}/{service}/upgrade.toml"
        stops = set(_read(services / service / "upgrade.toml").get("stops", []))
        for revision in migrations.committing:
            if revision not in stops:
                why = f"'stops' lacks {revision}, a migration that commits by itself"
                yield Review(file=file, why=why)
        if len(migrations.heads) != 1 or migrations.absent:
            heads = ", ".join(migrations.heads)
            why = f"the migrations of {service} have {len(migrations.heads)} heads: {heads}"
            yield Review(file=file, why=why)
        # No database goes from a newer release to an older one.
        follows = Version(old.version) < Version(new.version)
        before = by_service(old).get(service) if follows else None
        for reason in migrations.continues(before) if before else ():
            why = f"databases of {old.version} do not get all migrations of {new.version}: {reason}"
            yield Review(file=f"pkgspec/releases/{new.release}.toml", why=why)


def by_service(facts: Facts) -> dict[str, Migrations]:
    """Return the migrations of a release by the service whose database they are for."""
    services = {place: service_of(place) for place in facts.migrations}
    return {service: facts.migrations[place] for place, service in services.items() if service}


def service_of(place: str) -> str | None:
    """Return the service whose database the migrations in a folder are for."""
    return next((name for name, part in _DATABASES.items() if part in f"/{place}/"), None)


def _sample_reviews(services: Path, new: Facts, old: Facts) -> Iterator[Review]:
    """Yield the keys that recipes write and the release's samples no longer name."""
    for path in sorted(services.glob("*/recipe.toml")):
        for file, written in read_recipe(path, new.version).items():
            if file in old.samples and file not in new.samples:
                why = f"the sample {file} is gone"
                yield Review(file=f"postinst/services/{path.parent.name}/recipe.toml", why=why)
            gone = written.keys & old.samples.get(file, frozenset()) - new.samples.get(
                file, frozenset()
            )
            for key in sorted(gone if file in new.samples else ()):
                why = f"it sets {key}, which the sample {file} no longer has"
                yield Review(file=f"postinst/services/{path.parent.name}/recipe.toml", why=why)


def _read(path: Path) -> dict[str, Any]:
    return parse_toml(path.read_text(encoding="utf-8")) if path.is_file() else {}
