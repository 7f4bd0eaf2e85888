"""The database migrations in a wheel, read without running them."""

import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_FOLDER = "versions"
_ASSIGNED = r"^{name}\b[^=\n]*=\s*(?P<value>\([^)]*\)|[^#\n]+)"
_REVISION = re.compile(_ASSIGNED.format(name="revision"), re.MULTILINE)
_DOWN = re.compile(_ASSIGNED.format(name="down_revision"), re.MULTILINE)
_WORD = re.compile(r"[\"']([^\"']+)[\"']")
_COMMITS = re.compile(r"[\"']\s*COMMIT\s*;?\s*[\"']|\.autocommit_block\(", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One migration: its parents, and whether it commits by itself."""

    revision: str
    parents: tuple[str, ...]
    commits: bool


@dataclass(frozen=True, kw_only=True)
class Migrations:
    """All migrations of one database."""

    by_revision: Mapping[str, Migration]

    @property
    def heads(self) -> list[str]:
        """The migrations that no other follows."""
        followed = {parent for found in self.by_revision.values() for parent in found.parents}
        return sorted(set(self.by_revision) - followed)

    @property
    def absent(self) -> list[str]:
        """The parents that are not there."""
        named = {parent for found in self.by_revision.values() for parent in found.parents}
        return sorted(named - set(self.by_revision))

    @property
    def committing(self) -> list[str]:
        """The migrations that commit by themselves."""
        return sorted(name for name, found in self.by_revision.items() if found.commits)

    def path_to(self, revisions: Iterable[str]) -> set[str]:
        """Return the revisions and everything before them."""
        seen: set[str] = set()
        left = list(revisions)
        while left:
            revision = left.pop()
            if revision in self.by_revision and revision not in seen:
                seen.add(revision)
                left += self.by_revision[revision].parents
        return seen

    def continues(self, older: "Migrations") -> list[str]:
        """Return what stands between a database of ``older`` and this; empty if nothing does.

        Alembic compares the last migration only, and leaves out what was inserted before it.
        """
        unknown = [head for head in older.heads if head not in self.by_revision]
        if unknown:
            return [f"their last migration {', '.join(unknown)} is unknown to it"]
        inserted = sorted(self.path_to(older.heads) - set(older.by_revision))
        return [f"{revision} was inserted before their last migration" for revision in inserted]


def read_migrations(wheel: Path) -> dict[str, Migrations]:
    """Return the migrations of each folder of the wheel that has some, by the folder's path."""
    found: dict[str, dict[str, Migration]] = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name)
            if path.suffix == ".py" and path.parent.name == _FOLDER:
                migration = _parse(archive.read(name).decode("utf-8"))
                if migration is not None:
                    place = found.setdefault(str(path.parent), {})
                    place[migration.revision] = migration
    return {place: Migrations(by_revision=each) for place, each in found.items()}


def migrations_below(site: Path) -> dict[str, Migrations]:
    """Return the same of a folder of installed distributions."""
    found: dict[str, dict[str, Migration]] = {}
    for path in sorted(site.glob(f"ai/**/alembic/{_FOLDER}/*.py")):
        migration = _parse(path.read_text(encoding="utf-8"))
        if migration is not None:
            place = found.setdefault(str(path.parent.relative_to(site)), {})
            place[migration.revision] = migration
    return {place: Migrations(by_revision=each) for place, each in found.items()}


def _parse(source: str) -> Migration | None:
    """Return the migration of a script; None if the file is none.

    Its Python may be newer than the one here, so it is not parsed as Python.
    """
    revision, down = _REVISION.search(source), _DOWN.search(source)
    if revision is None:
        return None
    return Migration(
        revision=_WORD.findall(revision["value"])[0],
        parents=tuple(_WORD.findall(down["value"])) if down else (),
        commits=_COMMITS.search(source) is not None,
    )
