"""Compares pinned CPythons with what their publishers have, and moves a pin with its packages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path

from packaging.version import Version

from builder.base import log
from builder.base.cache import Cache
from builder.base.errors import BuilderError, FetchError, UsageError
from builder.base.together import write_together
from builder.lock import load_lock
from builder.lock.inputs import needs_lock
from builder.net.download import fetch_blob
from builder.release.bump import release_file
from builder.release.edit import NORMAL, Importance, make_entry, parse_release, raise_text
from builder.runtime.offers import SourceOffer, debian_place, find_apt, find_upstream, list_upstream
from builder.runtime.pins import Pins, SourcePin
from builder.runtime.python_news import SecurityFix, read_news, security_fixes
from builder.spec import ReleaseSpec, Spec

_ORG, _DEBIAN = "python.org", "Debian"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Whom to ask."""

    upstream: str
    suites: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class MinorNews:
    """What is known of one minor version."""

    minor: str
    pinned: Sequence[str]  # newest first
    offers: Sequence[SourceOffer]
    known_until: str | None  # the newest release whose news were read
    lacking: Mapping[str, Sequence[SecurityFix]]  # by pinned version

    @property
    def newest(self) -> SourceOffer | None:
        """The newest tarball that somebody offers and that is newer than every pin."""
        newer = [offer for offer in self.offers if Version(offer.version) > Version(self.pinned[0])]
        return max(newer, key=lambda offer: Version(offer.version), default=None)


@dataclass(frozen=True, kw_only=True)
class PythonNews:
    """What all that were asked have said."""

    minors: Sequence[MinorNews]
    silent: Mapping[str, BuilderError]  # place to the reason why it said nothing

    def refuse_silent(self, suites: Sequence[str]) -> None:
        """Raise the error of each of these suites of Debian that said nothing."""
        places = [debian_place(suite) for suite in dict.fromkeys(suites)]
        errors = [self.silent[place] for place in places if place in self.silent]
        if errors:
            message = "\n".join(error.message for error in errors)
            raise type(errors[0])(message, hint=errors[0].hint)


def check_pythons(pins: Pins, places: Places, cache: Cache) -> PythonNews:
    """Ask python.org and Debian about the minor version of each pinned source.

    One that does not answer is reported, and the others are enough. Raises FetchError where none
    answers.
    """
    minors = sorted({pin.minor for pin in pins.source}, key=Version)
    silent: dict[str, BuilderError] = {}
    debian = _debian(minors, places, silent)
    upstream = _upstream(minors, places, silent)
    if not debian and upstream is None:
        lines = [f"  {place}: {error.message}" for place, error in silent.items()]
        raise FetchError(
            "\n".join(["nobody says which CPythons there are:", *lines]),
            hint="check the network; --upstream names a mirror of python.org",
        )
    offers = [*chain.from_iterable(debian), *(upstream or ())]
    found = [_minor_news(minor, pins, offers, cache) for minor in minors]
    return PythonNews(minors=found, silent=silent)


def _debian(
    minors: Sequence[str], places: Places, silent: dict[str, BuilderError]
) -> list[list[SourceOffer]]:
    """Return what each suite that answered has."""
    if not places.suites:
        return []
    try:
        apt = find_apt()
    except BuilderError as error:
        silent[_DEBIAN] = error
        return []
    found = []
    for suite in places.suites:
        try:
            found.append(apt.find_debian(minors, suite))
        except BuilderError as error:
            silent[debian_place(suite)] = error
    return found


def _upstream(
    minors: Sequence[str], places: Places, silent: dict[str, BuilderError]
) -> list[SourceOffer] | None:
    """Return what python.org has; None if it did not answer."""
    try:
        folders = list_upstream(places.upstream)
        found = [find_upstream(minor, folders, places.upstream) for minor in minors]
    except FetchError as error:
        silent[_ORG] = error
        return None
    return [offer for offer in found if offer is not None]


def _minor_news(minor: str, pins: Pins, offers: Sequence[SourceOffer], cache: Cache) -> MinorNews:
    pinned = sorted(
        {pin.version for pin in pins.source if pin.minor == minor}, key=Version, reverse=True
    )
    own = [offer for offer in offers if offer.version.rpartition(".")[0] == minor]
    tarballs = {
        **{pin.version: pin.sha256 for pin in pins.source if pin.minor == minor},
        **{offer.version: offer.sha256 for offer in own if offer.sha256},
    }
    urls = {offer.sha256: offer.url for offer in own}
    known, news = _newest_news(tarballs, urls, cache)
    lacking = {version: security_fixes(news, after=version) for version in pinned} if known else {}
    return MinorNews(minor=minor, pinned=pinned, offers=own, known_until=known, lacking=lacking)


def _newest_news(
    tarballs: Mapping[str, str], urls: Mapping[str, str], cache: Cache
) -> tuple[str | None, str]:
    """Return the newest version whose tarball is available, and the news in it."""
    for version in sorted(tarballs, key=Version, reverse=True):
        sha256 = tarballs[version]
        path = cache.find_blob(sha256)
        try:
            if path is None and sha256 in urls:
                label = f"source of CPython {version}"
                path = fetch_blob(urls[sha256], sha256=sha256, cache=cache, label=label)
        except FetchError as error:
            log.warn(f"{error.message}: its news are not known")
        if path is not None:
            return version, read_news(path)
    return None, ""


def releases_on(spec: Spec, minor: str) -> list[ReleaseSpec]:
    """Return the releases whose runtime is a CPython of ``minor``."""
    runtime = spec.project.runtime
    found = []
    for release in spec.releases.values():
        locked = [name for name in release.packages if needs_lock(spec.packages[name])]
        if runtime not in release.packages or not locked:
            continue
        if load_lock(spec.root, release.name, locked[0]).python == minor:
            found.append(release)
    return found


def raise_runtimes(
    spec: Spec,
    releases: Sequence[ReleaseSpec],
    pin: SourcePin,
    day: date,
    importance: Importance = NORMAL,
) -> list[Path]:
    """Raise the revision of the runtime's package alone, in each release; returns the files.

    A release that was raised for this CPython already stays as it is.
    """
    runtime = spec.project.runtime
    if runtime is None:
        raise UsageError("this project has no package with a shared runtime")
    change = f"Build with CPython {pin.version}."
    texts: dict[Path, str] = {}
    for release in releases:
        if change in release.changelog_of(runtime)[0].changes:
            continue
        path = release_file(spec.root, release.name)
        text = path.read_text(encoding="utf-8")
        entry = make_entry(
            version=release.version,
            revision=release.revision_of(runtime) + 1,
            day=day,
            packages=(runtime,),
            changes=(change,),
            urgency=importance.urgency,
            fixes=importance.fixes,
        )
        raised = raise_text(text, entry)
        parse_release(raised, f"pkgspec/releases/{release.name}")
        texts[path] = raised
    return write_together(texts)
