"""apt's indexes of a channel: Packages, Contents, by-hash, and the Release that names them.

The indexes are joined from records made when packages were added; no package is opened
here, and only parts that changed are compressed. The same packages and time give the same bytes.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from itertools import islice
from pathlib import PurePosixPath
from types import MappingProxyType

from builder.inspect.deb822 import decode, encode, parse_fields, split_control
from builder.repo.changelogs import changelogs_field
from builder.repo.config import IndexCompression, RepoConfig
from builder.repo.dated import APT_SNAPSHOTS
from builder.repo.model import (
    DebRecord,
    Former,
    Listings,
    RepoPackage,
    Rollout,
    archive_root,
    dists_folder,
)
from builder.repo.packages import Packages, Run, split_packages
from builder.repo.parts import Output, Piece, part_key
from builder.repo.pdiffs import pack_unit
from builder.repo.spool import Digests
from builder.repo.version import Key, deb_key

# apt uses the strongest hash that Release has.
_HASHES = ("SHA256", "SHA512")
_SECTION = re.compile(r"[A-Za-z0-9.+/_-]+")
_DATE = re.compile(rb"^Date: (.*)$", re.MULTILINE)
# Bytes of a compressed Packages from which a patch can be worth its own index.
_PATCHED_FROM = 32 << 10
_RUN = 512  # packages of a part, about
RELEASE = "Release"


class AptIndexer:
    """Makes the indexes of apt; ``listings`` returns the paths of a deb.

    ``rollouts`` are by the package's sha256; ``folder`` is that of the indexes, if it is not the
    channel's own; ``former`` returns the Release that lies at a place: where nothing changes it
    keeps its date, and so its signatures.
    """

    def __init__(
        self,
        output: Output,
        listings: Listings,
        rollouts: Mapping[str, Rollout] = MappingProxyType({}),
        folder: PurePosixPath | None = None,
        former: Former = lambda _: None,
    ) -> None:
        self._output = output
        self._listings = listings
        self._rollouts = rollouts
        self._folder = folder
        self._former = former

    def index(
        self, channel: str, packages: Packages, config: RepoConfig, now: datetime
    ) -> datetime:
        """Write every metadata file of a channel to its place in the tree; Release is unsigned.

        ``packages`` are debs, sorted by name, version and architecture. Returns the date that
        Release states.
        """
        folder = self._folder or dists_folder(channel)
        named: dict[PurePosixPath, Digests] = {}
        described: dict[PurePosixPath, Digests] = {}
        for component in config.components:
            for arch in config.architectures:
                chosen = packages.where(component=component, arch=arch)
                base = folder / component
                forms = config.apt.compressions
                place = base / f"binary-{arch}" / "Packages"
                places, shown = self._packages(place, chosen, forms)
                if config.apt.contents:
                    forms = forms or (IndexCompression.GZIP,)
                    contents = base / f"Contents-{arch}"
                    described[contents], written = self._contents(contents, shown, forms)
                    places += written
                named |= {path: self._output.spool.files[path] for path in places}
        for path, digests in named.items():
            for name in _HASHES:
                self._output.spool.link(path, path.parent / "by-hash" / name / digests.named(name))
        # apt fetches Contents only if Release lists its plain form, which is never fetched.
        listed = {path.relative_to(folder): d for path, d in (named | described).items()}
        return self._release(folder / RELEASE, channel, listed, config, now)

    def _release(
        self,
        place: PurePosixPath,
        channel: str,
        listed: Mapping[PurePosixPath, Digests],
        config: RepoConfig,
        now: datetime,
    ) -> datetime:
        """Write Release, of its former date if nothing else in it changes; returns the date."""
        former, date = self._former(place), now
        before = _date_of(former) if former else None
        # With an end of its validity, the date has to move on.
        dated = config.channels[channel].is_dated
        if before and before < now and not dated:
            date = before if render_release(channel, listed, config, before) == former else now
        self._output.spool.write(place, render_release(channel, listed, config, date))
        return date

    def _packages(
        self, path: PurePosixPath, packages: Packages, forms: Iterable[IndexCompression]
    ) -> tuple[list[PurePosixPath], list[RepoPackage]]:
        """Write Packages, plain and compressed; returns the places, and the newest versions."""
        places = {form: path.with_suffix(f".{form}") for form in forms}
        up = "../" * len(archive_root(path).parts)
        runs: list[_KeptRun] = []
        latest: list[RepoPackage] = []
        for run in split_packages(packages, _RUN):
            runs.append(self._kept_run(run, up))
            latest = newest((*latest, *run.packages))
        self._output.write([run.paragraphs for run in runs], places, plain=path)
        patches = self._patches(path, places.values(), runs, up)
        return [path, *places.values(), *patches], latest

    def _patches(
        self,
        path: PurePosixPath,
        packed: Iterable[PurePosixPath],
        runs: Sequence["_KeptRun"],
        up: str,
    ) -> list[PurePosixPath]:
        """Write the patches that lead to a list; returns their index, if it is worth it."""
        output = self._output
        smallest = min((output.spool.files[place].size for place in packed), default=0)
        if output.pdiffs is None or smallest < _PATCHED_FROM:
            return []
        units = output.parts.text(run.units for run in runs)

        @lru_cache(maxsize=_RUN)  # the same paragraphs are in the patches of all states
        def paragraph(at: int) -> bytes:
            run = runs[bisect_right(runs, at, key=lambda run: run.at) - 1]
            return self._paragraph(next(islice(run.again, at - run.at, None)), up)

        return output.pdiffs.write(path, units, paragraph, output.spool)

    def _paragraph(self, package: RepoPackage, up: str) -> bytes:
        return encode(f"{stanza(package, self._rollouts.get(package.sha256), up)}\n")

    def _kept_run(self, run: Run, up: str) -> "_KeptRun":
        """Return the paragraphs of a run, and what patches are made by; it is not held."""
        again, rollouts = run.again, self._rollouts
        phased = [
            [p.sha256, rollouts[p.sha256].percent, rollouts[p.sha256].source]
            for p in run.packages
            if p.sha256 in rollouts
        ]

        def paragraphs() -> Iterator[bytes]:
            return (self._paragraph(package, up) for package in again)

        return _KeptRun(
            at=run.at,
            again=again,
            paragraphs=Piece(texts=paragraphs, key=part_key("Packages", run.packages, up, phased)),
            units=Piece(
                texts=lambda: map(pack_unit, paragraphs()),
                key=part_key("Packages, units", run.packages, up, phased),
            ),
        )

    def _contents(
        self,
        path: PurePosixPath,
        shown: Sequence[RepoPackage],
        forms: Iterable[IndexCompression],
    ) -> tuple[Digests, list[PurePosixPath]]:
        """Write Contents, compressed only; returns the digests of its text, and the places."""

        def texts() -> Iterator[bytes]:
            yield render_contents(shown, self._listings)

        places = {form: path.with_suffix(f".{form}") for form in forms}
        pieces = [Piece(texts=texts, key=part_key("Contents", shown))] if shown else []
        return self._output.write(pieces, places), list(places.values())


@dataclass(frozen=True, kw_only=True)
class _KeptRun:
    """A run of Packages, without the packages."""

    at: int
    again: Iterable[RepoPackage]
    paragraphs: Piece
    units: Piece


def stanza(package: RepoPackage, rollout: Rollout | None = None, up: str = "") -> str:
    """Return a package as Packages has it; ``up`` leads from the archive to the pool."""
    control = _control(package)
    if rollout is not None:
        control = _phased(control, rollout)
    facts = f"Size: {package.size}\nSHA256: {package.sha256}\n"
    return f"{control}Filename: {up}{package.pool}\n{facts}"


def _phased(control: str, rollout: Rollout) -> str:
    """Return the paragraph with its place in a rollout, in place of its own source package."""
    own = ("source", "phased-update-percentage")
    lines = [
        line for field in split_control(control) if field.key not in own for line in field.lines
    ]
    lines += [f"Source: {rollout.source}", f"Phased-Update-Percentage: {rollout.percent}"]
    return "".join(f"{line}\n" for line in lines)


def _control(package: RepoPackage) -> str:
    assert isinstance(package.record, DebRecord)
    return package.record.control


def render_contents(packages: Iterable[RepoPackage], listings: Listings) -> bytes:
    """Render Contents, the package of each file; of each package there is one version."""
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for package in packages:
        section = parse_fields(_control(package)).get("section", "")
        owner = f"{section if _SECTION.fullmatch(section) else 'misc'}/{package.name}"
        for path in filter(None, decode(listings(package.sha256)).split("\n")):
            owners[path].append(owner)
    rows = (f"{path:<55} {','.join(sorted(names))}\n" for path, names in sorted(owners.items()))
    return encode("".join(rows))


def newest(packages: Iterable[RepoPackage]) -> list[RepoPackage]:
    """Return the newest version of each package, by name."""
    found: dict[str, RepoPackage] = {}
    keys: dict[str, Key] = {}
    for package in packages:
        key = deb_key(package.version)
        if package.name not in found or keys[package.name] < key:
            found[package.name], keys[package.name] = package, key
    return [found[name] for name in sorted(found)]


def render_release(
    channel: str, named: Mapping[PurePosixPath, Digests], config: RepoConfig, now: datetime
) -> bytes:
    """Render the Release of a channel, which lists every index with its hashes."""
    spec = config.channels[channel]
    fields = {
        "Origin": config.origin,
        "Label": config.label,
        "Suite": channel.rpartition("/")[2],  # of a snapshot, the channel it was taken of
        "Codename": channel,
        "Date": _date(now),
        **(
            {"Valid-Until": _date(now + timedelta(days=spec.valid_until_days))}
            if spec.valid_until_days
            else {}
        ),
        "Acquire-By-Hash": "yes",
        "Changelogs": changelogs_field(config),
        **(
            {"Snapshots": f"{config.base_url}/{APT_SNAPSHOTS}"}
            if config.snapshots.apt_option
            else {}
        ),
        "No-Support-for-Architecture-all": "Packages",
        "Architectures": " ".join(sorted(config.architectures)),
        "Components": " ".join(config.components),
        "Description": spec.description or f"{config.label}, {channel}",
    }
    lines = [f"{name}: {value}" for name, value in fields.items()]
    for name in _HASHES:
        lines += [f"{name}:", *_hash_rows(name, named)]
    return "".join(f"{line}\n" for line in lines).encode()


def _hash_rows(name: str, named: Mapping[PurePosixPath, Digests]) -> Iterator[str]:
    for path in sorted(named):
        yield f" {named[path].named(name)} {named[path].size:>16} {path}"


def _date_of(release: bytes) -> datetime | None:
    """Return the date that a Release states."""
    found = _DATE.search(release)
    try:
        return parsedate_to_datetime(found[1].decode("ascii", "replace")) if found else None
    except ValueError:
        return None


def _date(time: datetime) -> str:
    # Not strftime: %a and %b follow the locale.
    return format_datetime(time.astimezone(UTC), usegmt=True).replace("GMT", "UTC")
