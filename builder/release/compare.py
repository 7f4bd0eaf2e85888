"""What differs between two releases, as sections of lines. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.version import Version

from builder.release.facts import Facts, WheelFacts
from builder.release.osv import Snapshot
from builder.release.records import Vulnerability
from builder.release.review import Review, by_service

_OWN = "backend-ai-"
_OSV_PAGE = "https://osv.dev/vulnerability/"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One difference, with the address of more, if there is one."""

    text: str
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """Differences of one kind."""

    title: str
    lines: Sequence[Line]


@dataclass(frozen=True, kw_only=True)
class Area:
    """One wheel in the map of sizes."""

    name: str
    size: int  # bytes
    before: int  # bytes; 0 where it is new


@dataclass(frozen=True, kw_only=True)
class Report:
    """The differences of ``new`` against ``old``."""

    new: str
    old: str
    sections: Sequence[Section]
    areas: Sequence[Area]

    def as_dict(self) -> dict[str, object]:
        """Return it as plain values."""
        return {
            "new": self.new,
            "old": self.old,
            "sections": {
                section.title: [line.text for line in section.lines] for section in self.sections
            },
            "bytes": {area.name: [area.before, area.size] for area in self.areas},
        }


def compare(
    new: Facts,
    old: Facts,
    *,
    reviews: Iterable[Review] = (),
    lacking: Iterable[str] = (),
    snapshot: Snapshot | None = None,
) -> Report:
    """Return all that differs; ``lacking`` are distributions that the index lacks for ``new``.

    Vulnerabilities are those that ``snapshot`` has.
    """
    sections = [
        Section(title="For a person", lines=[Line(text=f"{r.file}: {r.why}") for r in reviews]),
        Section(title="The index lacks", lines=[Line(text=name) for name in sorted(lacking)]),
        Section(title="Packages", lines=_set_lines(new.packages, old.packages)),
        Section(title="Python and glibc", lines=list(_python(new, old))),
        Section(title="Wheels", lines=list(_wheels(new.wheels, old.wheels))),
        Section(title="Known vulnerabilities", lines=list(_vulnerabilities(new, old, snapshot))),
        Section(title="Licences", lines=list(_licences(new.wheels, old.wheels))),
        Section(title="Migrations", lines=list(_migrations(new, old))),
        Section(title="Samples", lines=list(_by_file(new.samples, old.samples))),
        Section(title="Fixtures", lines=list(_by_file(new.fixtures, old.fixtures))),
        Section(title="GraphQL fields", lines=list(_schemas(new, old))),
        Section(title="Entry points", lines=_set_lines(new.entry_points, old.entry_points)),
        Section(title="Commands", lines=_set_lines(new.words, old.words)),
    ]
    areas = [
        Area(name=name, size=wheel.size, before=old.wheels[name].size if name in old.wheels else 0)
        for name, wheel in new.wheels.items()
    ]
    return Report(
        new=f"{new.release} ({new.version})",
        old=f"{old.release} ({old.version})",
        sections=sections,
        areas=sorted(areas, key=lambda area: (-area.size, area.name)),
    )


def _set_lines(new: Iterable[str], old: Iterable[str]) -> list[Line]:
    added, gone = set(new) - set(old), set(old) - set(new)
    return [
        *(Line(text=f"+ {name}") for name in sorted(added)),
        *(Line(text=f"- {name}") for name in sorted(gone)),
    ]


def _python(new: Facts, old: Facts) -> Iterator[Line]:
    pairs = {
        "Python": (old.python, new.python),
        "Requires-Python": (old.requires_python, new.requires_python),
        "newest glibc of a wheel": (_newest_glibc(old), _newest_glibc(new)),
        "MB of wheels": (_megabytes(old), _megabytes(new)),
    }
    for name, (before, now) in pairs.items():
        yield Line(text=f"{name}: {now}" if before == now else f"{name}: {before} -> {now}")


def _newest_glibc(facts: Facts) -> str:
    needed = [wheel.glibc for wheel in facts.wheels.values() if wheel.glibc]
    return max(needed, key=Version, default="none")


def _megabytes(facts: Facts) -> str:
    return f"{sum(wheel.size for wheel in facts.wheels.values()) / 1e6:.1f}"


def _wheels(new: Mapping[str, WheelFacts], old: Mapping[str, WheelFacts]) -> Iterator[Line]:
    for name in sorted(new.keys() | old.keys()):
        before, now = old.get(name), new.get(name)
        if before is None and now is not None:
            text = f"+ {name} {now.version} ({now.size / 1e6:.1f} MB)"
        elif now is None and before is not None:
            text = f"- {name} {before.version} ({before.size / 1e6:.1f} MB)"
        elif before is not None and now is not None and before.version != now.version:
            change = (now.size - before.size) / 1e6
            text = f"{name} {before.version} -> {now.version} ({change:+.1f} MB)"
        else:
            continue
        # Those of Backend.AI have one version, and the same notes.
        link = now.notes if now is not None and not name.startswith(_OWN) else ""
        yield Line(text=text, link=link)


def _vulnerabilities(new: Facts, old: Facts, snapshot: Snapshot | None) -> Iterator[Line]:
    """Yield what is known of the new release's wheels, and what it is rid of."""
    if snapshot is None:
        yield Line(text="not looked for: give a snapshot by --osv")
        return
    before, now = _known(old, snapshot), _known(new, snapshot)
    for (name, identity), found in sorted(now.items()):
        sign = " " if (name, identity) in before else "+"
        fixed = f" (fixed in {', '.join(found.fixed)})" if found.fixed else ""
        yield Line(
            text=f"{sign} {name} {new.wheels[name].version}: {found.shown}{fixed}",
            link=_OSV_PAGE + found.name,
        )
    for (name, identity), found in sorted(before.items()):
        if (name, identity) not in now:
            yield Line(text=f"- {name} {old.wheels[name].version}: {found.shown}")


def _known(facts: Facts, snapshot: Snapshot) -> dict[tuple[str, str], Vulnerability]:
    return {
        (name, found.name): found
        for name, wheel in facts.wheels.items()
        for found in snapshot.find(name, wheel.version)
    }


def _schemas(new: Facts, old: Facts) -> Iterator[Line]:
    lacking = [facts.version for facts in (new, old) if facts.schemas is None]
    if new.schemas is None or old.schemas is None:
        yield Line(text=f"not compared: no schemas of {', '.join(lacking)}")
        return
    yield from _by_file(new.schemas, old.schemas)


def _licences(new: Mapping[str, WheelFacts], old: Mapping[str, WheelFacts]) -> Iterator[Line]:
    for name, wheel in sorted(new.items()):
        before = old[name].licence if name in old else None
        if before is None:
            yield Line(text=f"+ {name}: {wheel.licence or 'not stated'}")
        elif before != wheel.licence:
            was, now = before or "not stated", wheel.licence or "not stated"
            yield Line(text=f"{name}: {was} -> {now}")


def _migrations(new: Facts, old: Facts) -> Iterator[Line]:
    before = by_service(old)
    for service, migrations in sorted(by_service(new).items()):
        known = before[service].by_revision if service in before else {}
        count = len(migrations.by_revision.keys() - known.keys())
        heads = ", ".join(migrations.heads)
        yield Line(text=f"{service}: {count} new of {len(migrations.by_revision)}, head {heads}")
        for revision in migrations.committing:
            if revision not in known:
                yield Line(text=f"{service}: {revision} commits by itself")


def _by_file(
    new: Mapping[str, frozenset[str]], old: Mapping[str, frozenset[str]]
) -> Iterator[Line]:
    yield from _set_lines(new, old)
    for file in sorted(new.keys() & old.keys()):
        for line in _set_lines(new[file], old[file]):
            yield Line(text=f"{file}: {line.text}")
