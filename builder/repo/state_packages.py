"""Packages of the state, read a few hundred at a time whenever they are needed."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Unpack

from builder.base.model import PackageFormat
from builder.repo.model import RepoPackage
from builder.repo.packages import Wanted
from builder.repo.state_records import Load, stored_package

COLUMNS = "fmt, name, version, arch, component, file, pool, sha256, size, added"
_ORDER = ("fmt", "name", "version", "arch")  # which no two packages share
_TOGETHER = 500


@dataclass(frozen=True, kw_only=True)
class StoredPackages:
    """See :class:`builder.repo.packages.Packages`.

    No cursor stays open between two packages, so the state may be changed meanwhile.
    """

    db: sqlite3.Connection
    load: Load
    clauses: tuple[str, ...] = ()
    values: tuple[object, ...] = ()  # of the marks in the clauses
    first: tuple[str, ...] = ()  # the place of the first of a run
    count: int | None = None  # of a run

    def __iter__(self) -> Iterator[RepoPackage]:
        sign, place, left = ">=", self.first, self.count
        while left is None or left > 0:
            wanted = _TOGETHER if left is None else min(left, _TOGETHER)
            rows = self._rows(sign, place, wanted)
            yield from (stored_package(row, self.load) for row in rows)
            if len(rows) < wanted:
                return
            left = None if left is None else left - wanted
            sign, place = ">", rows[-1][: len(_ORDER)]

    def __len__(self) -> int:
        statement = f"SELECT count(*) FROM package {_where(self.clauses)}"
        (count,) = self.db.execute(statement, self.values).fetchone()
        return int(count)

    def where(self, **wanted: Unpack[Wanted]) -> "StoredPackages":
        """Return some of them: see :meth:`Packages.where`."""
        fmt, name = wanted.get("fmt"), wanted.get("name")
        component, arch = wanted.get("component"), wanted.get("arch")
        archs = [f.arch_name(fits) for f in PackageFormat for fits in (arch, None)] if arch else []
        chosen: dict[str, list[object]] = {
            "fmt = ?": [fmt.value] if fmt else [],
            "name = ?": [name] if name is not None else [],
            "component = ?": [component] if component is not None else [],
            f"arch IN ({', '.join('?' * len(archs))})": [*archs],
        }
        named = {clause: values for clause, values in chosen.items() if values}
        return replace(
            self,
            clauses=(*self.clauses, *named),
            values=(*self.values, *(value for values in named.values() for value in values)),
        )

    def run(self, at: int, first: RepoPackage, count: int) -> Iterable[RepoPackage]:  # noqa: ARG002
        """Return some that follow each other: see :meth:`Packages.run`."""
        place = (first.fmt.value, first.name, first.version, first.arch)
        return replace(self, first=place, count=count)

    def newest_first(self) -> Iterator[Iterator[RepoPackage]]:
        """Yield the versions of each package and architecture, the newest first.

        Change none of them while they are read.
        """
        groups = self.db.execute(
            f"SELECT fmt, name, arch FROM package {_where(self.clauses)} "
            "GROUP BY fmt, name, arch ORDER BY fmt, name, min(version), arch",
            self.values,
        ).fetchall()
        clauses = (*self.clauses, "fmt = ?", "name = ?", "arch = ?")
        for group in groups:
            rows = self.db.execute(
                f"SELECT {COLUMNS} FROM package {_where(clauses)} "
                "ORDER BY version_bytes(fmt, version) DESC, version",
                (*self.values, *group),
            )
            yield (stored_package(row, self.load) for row in rows)

    def names(self) -> list[str]:
        """Return their names."""
        # By the index of the order, each format alone: a sort of all names is not needed.
        found = set[str]()
        for fmt in PackageFormat:
            chosen = self.where(fmt=fmt)
            statement = f"SELECT DISTINCT name FROM package {_where(chosen.clauses)}"
            found.update(name for (name,) in self.db.execute(statement, chosen.values))
        return sorted(found)

    def places(self) -> Iterator[tuple[str, str]]:
        """Yield the sha256 and the place of each, which takes less time than the packages."""
        statement = f"SELECT sha256, pool FROM package {_where(self.clauses)} ORDER BY "
        yield from self.db.execute(statement + ", ".join(_ORDER), self.values)

    def _rows(self, sign: str, place: tuple[str, ...], count: int) -> list[tuple[str, ...]]:
        clauses, values = self.clauses, self.values
        if place:
            # SQLite finds the place by its index if the comparison has no column of one value.
            free = [at for at, name in enumerate(_ORDER) if f"{name} = ?" not in clauses]
            columns = ", ".join(_ORDER[at] for at in free)
            clauses = (*clauses, f"({columns}) {sign} ({', '.join('?' * len(free))})")
            values = (*values, *(place[at] for at in free))
        return self.db.execute(
            f"SELECT {COLUMNS} FROM package {_where(clauses)} ORDER BY {', '.join(_ORDER)} LIMIT ?",
            (*values, count),
        ).fetchall()


def _where(clauses: tuple[str, ...]) -> str:
    return f"WHERE {' AND '.join(clauses)}" if clauses else ""
