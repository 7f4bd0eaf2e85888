"""Moves lines to other releases, and compares releases, with all that a person has to see."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from packaging.version import InvalidVersion, Version

from builder.base.errors import UsageError
from builder.base.model import Arch
from builder.base.paths import PROJECT
from builder.index.uv import Target
from builder.lock import Lock
from builder.lock.installer import DISTRIBUTION, known_path, load_known, new_parts, read_parts
from builder.lock.resolve import make_locks
from builder.release.bump import Moved, NewLine, Workshop, begin, bump
from builder.release.compare import Report, compare
from builder.release.facts import Facts, collect_facts, release_locks
from builder.release.news import leading_releases, missing_at, refuse_missing
from builder.release.osv import Snapshot
from builder.release.review import Review, find_reviews
from builder.release.schemas import read_fields
from builder.spec import ReleaseSpec
from builder.spec.release import line_of
from builder.wheels.files import fetch_files
from builder.wheels.model import WheelRequest

# The texts of a release's GraphQL schemas by name.
Schemas = Callable[[ReleaseSpec], Mapping[str, str] | None]

_SERVICES = PROJECT / "postinst" / "services"


@dataclass(frozen=True, kw_only=True)
class Moves:
    """A moved line, the versions that changed, and what a person has to look at."""

    moved: Moved
    changed: Mapping[str, Sequence[str | None]]  # distribution to versions before and now
    reviews: Sequence[Review]


def move_line(shop: Workshop, release: ReleaseSpec, version: str, now: datetime) -> Moves:
    """Move a line to ``version``; nothing is written."""
    return _moves(shop, bump(shop, release, version, now), release)


def start_line(shop: Workshop, line: NewLine, now: datetime) -> Moves:
    """Begin a line; nothing is written."""
    return _moves(shop, begin(shop, line, now), line.like)


def make_report(
    shop: Workshop,
    line: str,
    against: str,
    *,
    schemas: Schemas = lambda _: None,
    snapshot: Snapshot | None = None,
) -> Report:
    """Compare the release of a line with another line, or with another version of a line.

    A version that ``pkgspec/`` does not have is resolved, which takes minutes. ``schemas``
    returns the GraphQL schemas of a release that it has. Raises UsageError for twice the same
    release, LockError for what the index lacks.
    """
    now = datetime.now(UTC)
    new, old = _find_release(shop, line, now), _find_release(shop, against, now)
    if new == old:
        raise UsageError(
            f"{line} and {against} are both {new.version}: there is nothing to compare",
            hint=f"name another line or version; lines: {', '.join(shop.spec.releases)}",
        )
    new_locks, old_locks = _locks_of(shop, new), _locks_of(shop, old)
    facts = _with_schemas(shop, collect_facts(new, new_locks, shop.cache), new, schemas)
    before = _with_schemas(shop, collect_facts(old, old_locks, shop.cache), old, schemas)
    addons = [package.name for package in shop.spec.packages.values() if package.addon]
    everything = tuple(dict.fromkeys((*new.packages, *addons)))
    return compare(
        facts,
        before,
        reviews=[
            *_installer_reviews(shop, new, new_locks, old),
            *find_reviews(_SERVICES, facts, before),
        ],
        lacking=missing_at(shop.spec, new.model_copy(update={"packages": everything}), shop.cache),
        snapshot=snapshot,
    )


def _with_schemas(shop: Workshop, facts: Facts, release: ReleaseSpec, schemas: Schemas) -> Facts:
    if release not in shop.spec.releases.values():
        return facts  # its locks are not on disk, so nothing of it can be built
    texts = schemas(release)
    return facts if texts is None else replace(facts, schemas=read_fields(texts))


def _moves(shop: Workshop, moved: Moved, before: ReleaseSpec) -> Moves:
    old_locks = release_locks(shop.spec, before)
    facts = collect_facts(moved.release, moved.locks, shop.cache)
    old = collect_facts(before, old_locks, shop.cache)
    reviews = [
        *_installer_reviews(shop, moved.release, moved.locks, before),
        *find_reviews(_SERVICES, facts, old),
    ]
    return Moves(moved=moved, changed=_changed(facts, old), reviews=reviews)


def _changed(new: Facts, old: Facts) -> dict[str, Sequence[str | None]]:
    pairs = {
        name: (
            old.wheels[name].version if name in old.wheels else None,
            new.wheels[name].version if name in new.wheels else None,
        )
        for name in sorted(new.wheels.keys() | old.wheels.keys())
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _installer_reviews(
    shop: Workshop, release: ReleaseSpec, locks: Sequence[Lock], like: ReleaseSpec
) -> list[Review]:
    """Return the parts of the release's installer that nobody has reviewed.

    For a line without a record, the parts that differ from the record of ``like``.
    """
    samples = {found.name: found for lock in locks for found in lock.sample}
    if DISTRIBUTION not in samples:
        return []
    target = Target(minor=locks[0].python, arch=Arch.AMD64, glibc=release.glibc)
    request = WheelRequest(distributions=[samples[DISTRIBUTION]], build=(), target=target)
    (path,) = fetch_files(request, shop.cache, offline=False).values()
    root = shop.spec.root
    file = str(known_path(root, release.name).relative_to(root.parent))
    known = load_known(root, release.name)
    if known:
        return [Review(file=file, why=line) for line in new_parts(known, read_parts(path))]
    why = "nobody has reviewed what the installer does"
    known = load_known(root, like.name)
    if not known:
        return [Review(file=file, why=why)]
    found = new_parts(known, read_parts(path))
    why += f"; {len(found)} parts differ from those of {like.name}" + ":" * bool(found)
    return [Review(file=file, why=line) for line in (why, *found)]


def _find_release(shop: Workshop, wanted: str, now: datetime) -> ReleaseSpec:
    """Return a release of pkgspec/, or one like the newest of its line at another version."""
    with suppress(UsageError):
        return shop.spec.release(wanted)
    leading = {found.line: found for found in leading_releases(shop.spec)}
    try:
        version = Version(wanted)
        like = leading[line_of(wanted)]
    except (InvalidVersion, KeyError) as error:
        raise UsageError(
            f"'{wanted}' is neither a line nor a version of one",
            hint=f"lines: {', '.join(shop.spec.releases)}",
        ) from error
    # Not validated: its changelog is of another version, which no lock depends on.
    changes: dict[str, object] = {"version": str(version)}
    if version > Version(like.version):
        changes["index_until"] = now  # the index had it not yet when the line was locked
    return like.model_copy(update=changes)


def _locks_of(shop: Workshop, release: ReleaseSpec) -> Sequence[Lock]:
    """Return the locks of a release, resolved anew where pkgspec/ has not the release."""
    if release in shop.spec.releases.values():
        return release_locks(shop.spec, release)
    refuse_missing(shop.spec, release, shop.cache, hint="wait for it, or compare another version")
    spec = replace(shop.spec, releases={**shop.spec.releases, release.name: release})
    return make_locks(spec, release, shop.pythons, shop.cache, upgrade=False)
