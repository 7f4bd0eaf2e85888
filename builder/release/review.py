"""What a person has to look at before a release is built, by the file where the answer goes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from builder.base.parse import parse_toml
from builder.release.facts import Facts
from builder.release.migrations import Migrations

# The folder of a service's data that its migrations belong to, by a part of their path.
_DATABASES = {"manager": "/manager/", "appproxy-coordinator": "/appproxy/coordinator/"}


@dataclass(frozen=True, kw_only=True)
class Review:
    """One thing for a person: where, and why."""

    file: str
    why: str


def find_reviews(services: Path, new: Facts, old: Facts) -> list[Review]:
    """Return all that the packages' data may not fit any more in ``new``, which follows ``old``.

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
        before = by_service(old).get(service)
        for reason in migrations.continues(before) if before else ():
            why = f"databases of {old.version} do not get all migrations of {new.version}: {reason}"
            yield Review(file=f"pkgspec/releases/{new.release}.toml", why=why)


def by_service(facts: Facts) -> dict[str, Migrations]:
    """Return the migrations of a release by the service whose database they are for."""
    return {
        service: migrations
        for place, migrations in facts.migrations.items()
        for service, part in _DATABASES.items()
        if part in f"/{place}/"
    }


def _sample_reviews(services: Path, new: Facts, old: Facts) -> Iterator[Review]:
    """Yield the keys that recipes write and the release's samples no longer name."""
    for path in sorted(services.glob("*/recipe.toml")):
        for file, keys in recipe_keys(_read(path), new.version).items():
            if file in old.samples and file not in new.samples:
                why = f"the sample {file} is gone"
                yield Review(file=f"postinst/services/{path.parent.name}/recipe.toml", why=why)
            gone = keys & old.samples.get(file, frozenset()) - new.samples.get(file, frozenset())
            for key in sorted(gone if file in new.samples else ()):
                why = f"it sets {key}, which the sample {file} no longer has"
                yield Review(file=f"postinst/services/{path.parent.name}/recipe.toml", why=why)


def recipe_keys(recipe: Mapping[str, Any], version: str) -> dict[str, frozenset[str]]:
    """Return the keys that a recipe sets in each file for a release of ``version``."""
    found = {}
    for config in recipe.get("config", ()):
        lines = [line for line in config.get("line", ()) if _reached(line, version)]
        empty: Mapping[str, Any] = {}
        newest = max(lines, key=lambda line: Version(line["since"]), default=empty)
        found[config["file"]] = frozenset({**config.get("set", {}), **newest.get("set", {})})
    return found


def _reached(line: Mapping[str, Any], version: str) -> bool:
    return Version(line["since"]) <= Version(version)


def _read(path: Path) -> dict[str, Any]:
    return parse_toml(path.read_text(encoding="utf-8")) if path.is_file() else {}
