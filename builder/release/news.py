"""Asks the index which releases of Backend.AI are newer than those of ``pkgspec/``.

The index is asked through uv, as locks are, so its settings and credentials hold here too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.version import Version

from builder.base.cache import Cache
from builder.base.errors import LockError
from builder.base.model import Arch
from builder.index.uv import Limits, Target, UnresolvedError, resolve
from builder.lock.inputs import requirements
from builder.spec import ReleaseSpec, Spec
from builder.spec.release import line_of

LEADING = "backend-ai-manager"  # every line has it, and its version is the release's
# Of no CPython: a release that needs a newer Python than pkgspec/runtimes.toml has is found, too.
_ANY_PYTHON = "3.99"


@dataclass(frozen=True, kw_only=True)
class LineNews:
    """The newest release of one line on the index, beside that of ``pkgspec/``."""

    release: str  # the name of its file
    version: str
    newest: str
    lacking: tuple[str, ...]  # distributions of the line that the index lacks at ``newest``
    maintained_until: str

    @property
    def is_newer(self) -> bool:
        """Whether the index has a newer release."""
        return Version(self.newest) > Version(self.version)


@dataclass(frozen=True, kw_only=True)
class News:
    """The news of all lines."""

    lines: tuple[LineNews, ...]
    newest: str  # of all lines
    pre_release: str | None  # newer than all releases

    def new_line(self) -> str | None:
        """Return the name of the newest line if ``pkgspec/`` has none of it."""
        line = line_of(self.newest)
        known = {line_of(news.version) for news in self.lines}
        return None if line in known else line


def leading_releases(spec: Spec) -> list[ReleaseSpec]:
    """Return the newest release of each line, in the order of their versions."""
    newest: dict[str, ReleaseSpec] = {}
    for release in sorted(spec.releases.values(), key=lambda release: Version(release.version)):
        newest[release.line] = release
    return list(newest.values())


def own_distributions(spec: Spec, release: ReleaseSpec) -> list[str]:
    """Return the distributions that the release's packages need at exactly its version."""
    exact = f"=={release.version}"
    wanted = (
        Requirement(word)
        for name in release.packages
        for word in requirements(spec.packages[name], release)
    )
    return sorted({word.name for word in wanted if str(word.specifier) == exact})


def find_news(spec: Spec, cache: Cache) -> News:
    """Ask the index about every line; raises FetchError if it does not answer."""
    lines = tuple(_line_news(spec, release, cache) for release in leading_releases(spec))
    newest = newest_of(LEADING, cache)
    if newest is None:
        raise LockError(f"the index has no {LEADING}")
    # A lower bound that is a pre-release allows them.
    later = newest_of(f"{LEADING}>{newest},>={_next(newest)}a0", cache)
    return News(lines=lines, newest=newest, pre_release=later)


def newest_of(requirement: str, cache: Cache) -> str | None:
    """Return the newest version that fits; None if the index has none."""
    found = _versions([requirement], cache)
    return next(iter(found.values()), None) if found is not None else None


def missing_at(spec: Spec, release: ReleaseSpec, cache: Cache) -> list[str]:
    """Return the distributions of the release that the index lacks at its version."""
    names = own_distributions(spec, release)
    pins = {name: f"{name}=={release.version}" for name in names}
    if _versions(list(pins.values()), cache) is not None:
        return []
    return [name for name, pin in pins.items() if _versions([pin], cache) is None]


def refuse_missing(spec: Spec, release: ReleaseSpec, cache: Cache, *, hint: str) -> None:
    """Raise LockError, with ``hint``, if the index lacks a part of the release at its version."""
    lacking = missing_at(spec, release, cache)
    if not lacking:
        return
    if len(lacking) == len(own_distributions(spec, release)):
        raise LockError(
            f"the index has no release {release.version}",
            hint="'builder release check' shows the newest of each line",
        )
    raise LockError(f"the index has no {release.version} of {', '.join(lacking)}", hint=hint)


def _line_news(spec: Spec, release: ReleaseSpec, cache: Cache) -> LineNews:
    bounds = f">={release.line},<{_next(release.version)}"
    newest = newest_of(f"{LEADING}{bounds}", cache) or release.version
    bumped = release.model_copy(update={"version": newest})
    return LineNews(
        release=release.name,
        version=release.version,
        newest=newest,
        lacking=tuple(missing_at(spec, bumped, cache)) if newest != release.version else (),
        maintained_until=str(release.maintained_until or ""),
    )


def _next(version: str) -> str:
    """Return the line after that of ``version``: 26.10 for 26.9.6."""
    year, line = Version(version).release[:2]
    return f"{year}.{line + 1}"


def _versions(wanted: Sequence[str], cache: Cache) -> dict[str, str] | None:
    """Return the newest version of each requirement; None if one of them has none."""
    target = Target(minor=_ANY_PYTHON, arch=Arch.AMD64, glibc="2.28")
    try:
        found = resolve(wanted, target, Limits(), cache, deps=False)
    except UnresolvedError:
        return None
    return {distribution.name: distribution.version for distribution in found}
