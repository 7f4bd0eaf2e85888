"""What a release is made of: wheels, samples, fixtures, migrations, commands. Reads wheels only."""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

from builder.base.cache import Cache
from builder.base.model import Arch
from builder.index.uv import Target
from builder.lock import Lock, LockedDistribution, load_lock
from builder.lock.inputs import needs_lock
from builder.lock.installer import DISTRIBUTION as INSTALLER
from builder.release.migrations import Migrations, read_migrations
from builder.spec import ReleaseSpec, Spec
from builder.wheels.files import fetch_files
from builder.wheels.model import WheelRequest

_OWN = "backend-ai-"
_INSTALL = PurePosixPath("ai/backend/install")
_SAMPLES = (".toml", ".conf", ".ini")
_SECTION = re.compile(r"^\s*#?\s*\[{1,2}(?P<name>[A-Za-z0-9_.-]+)\]{1,2}\s*$")
_KEY = re.compile(r"^\s*#?\s*(?P<name>[A-Za-z0-9_.-]+)\s*=\s*\S")
_COMMAND = re.compile(
    r"^@\w+\.(?:command|group)\((?P<args>[^)]*)\)\n(?:^[@ )].*\n|\n)*?^(?:async )?def (?P<def>\w+)",
    re.MULTILINE,
)
_WORD = re.compile(r"^\s*(?:name=)?[\"'](?P<word>[a-z][a-z0-9-]*)[\"']")
_GLIBC = re.compile(r"manylinux_2_(\d+)_")
_OLD_GLIBC = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
_NOTES = ("changelog", "release notes", "changes", "history", "release-notes", "what's new")


@dataclass(frozen=True, kw_only=True)
class WheelFacts:
    """One distribution of a release."""

    version: str
    size: int  # bytes of the file for amd64, or of any
    licence: str = ""
    notes: str = ""  # the address of its release notes, or of the project
    glibc: str = ""  # the newest that a wheel of it needs; empty for pure Python


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that two releases are compared by."""

    release: str
    version: str
    python: str
    requires_python: str
    packages: tuple[str, ...]
    wheels: Mapping[str, WheelFacts]
    samples: Mapping[str, frozenset[str]]  # file to keys, those in comments too
    fixtures: Mapping[str, frozenset[str]]  # file to TABLE.COLUMN
    migrations: Mapping[str, Migrations]  # by the folder in the wheel
    entry_points: frozenset[str]
    words: frozenset[str]  # of the command line
    schemas: Mapping[str, frozenset[str]] | None = None  # GraphQL's; None: not looked at


def release_locks(spec: Spec, release: ReleaseSpec) -> list[Lock]:
    """Load every lock of a release."""
    packages = filter(needs_lock, (spec.packages[name] for name in release.packages))
    return [load_lock(spec.root, release.name, package.name) for package in packages]


def collect_facts(release: ReleaseSpec, locks: Sequence[Lock], cache: Cache) -> Facts:
    """Return the facts of a release; its wheels are fetched where the cache lacks them."""
    distributions = {found.name: found for lock in locks for found in lock.wheel}
    samples = {found.name: found for lock in locks for found in lock.sample}
    first = locks[0]
    target = Target(minor=first.python, arch=Arch.AMD64, glibc=first.glibc)
    wanted = [*distributions.values(), *samples.values()]
    request = WheelRequest(distributions=wanted, build=(), target=target)
    paths = fetch_files(request, cache, offline=False)
    found = {distribution.name: paths[file.sha256] for distribution, file in request.files()}
    own = {name: path for name, path in found.items() if name.startswith(_OWN)}
    own = {name: path for name, path in own.items() if path_is_wheel(path)}
    return Facts(
        release=release.name,
        version=release.version,
        python=first.python,
        requires_python=first.requires_python,
        packages=release.packages,
        wheels={
            name: wheel_facts(distribution, found.get(name))
            for name, distribution in distributions.items()
        },
        samples=read_samples(own[INSTALLER]) if INSTALLER in own else {},
        fixtures=read_fixtures(own[INSTALLER]) if INSTALLER in own else {},
        migrations={
            place: each for path in own.values() for place, each in read_migrations(path).items()
        },
        entry_points=frozenset(point for path in own.values() for point in read_points(path)),
        words=frozenset(word for path in own.values() for word in read_words(path)),
    )


def path_is_wheel(path: Path) -> bool:
    """Return whether a file of the cache, which has no name of its own, is a wheel."""
    return zipfile.is_zipfile(path)


def wheel_facts(distribution: LockedDistribution, path: Path | None) -> WheelFacts:
    """Return the facts of a distribution; those of its metadata only with its wheel."""
    file = distribution.file_for(Arch.AMD64) or distribution.files[0]
    metadata = _metadata(path) if path is not None and path_is_wheel(path) else Message()
    return WheelFacts(
        version=distribution.version,
        size=file.size,
        licence=_licence(metadata),
        notes=_notes(metadata),
        glibc=_glibc(file.file),
    )


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        member = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(member).decode("utf-8", "replace"))


def _licence(metadata: Message) -> str:
    """Return the licence in one line: an expression, the classifiers, or the first line of text."""
    classifiers = [
        str(line).rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier", [])
        if str(line).startswith("License ::")
    ]
    text = str(metadata.get("License", "")).strip().partition("\n")[0].strip()
    return str(metadata.get("License-Expression", "")) or ", ".join(classifiers) or text[:60]


def _notes(metadata: Message) -> str:
    links = [str(line).partition(",") for line in metadata.get_all("Project-URL", [])]
    addresses = {label.strip().lower(): url.strip() for label, _, url in links}
    for label in (*_NOTES, "source", "repository", "homepage"):
        if label in addresses:
            return addresses[label]
    return str(metadata.get("Home-page", ""))


def _glibc(file: str) -> str:
    """Return the oldest glibc that the wheel runs on, by its name's tags."""
    minors = [int(minor) for minor in _GLIBC.findall(file)]
    minors += [minor for tag, minor in _OLD_GLIBC.items() if f"{tag}_" in file]
    return f"2.{min(minors)}" if minors else ""


def read_samples(installer: Path) -> dict[str, frozenset[str]]:
    """Return the keys of each sample configuration of the release's installer."""
    return {
        path.name: frozenset(sample_keys(text))
        for path, text in _files(installer, "configs")
        if path.suffix in _SAMPLES
    }


def sample_keys(text: str) -> Iterator[str]:
    """Yield the keys of a sample, those in comments too, with their sections."""
    section = ""
    for line in text.splitlines():
        heading, key = _SECTION.match(line), _KEY.match(line)
        if heading:
            section = heading["name"] + "."
        elif key:
            yield section + key["name"]


def read_fixtures(installer: Path) -> dict[str, frozenset[str]]:
    """Return the tables and columns of each fixture of the release's installer."""
    return {
        path.name: frozenset(_columns(json.loads(text)))
        for path, text in _files(installer, "fixtures")
        if path.suffix == ".json"
    }


def _columns(tables: object) -> Iterator[str]:
    """Yield the columns of a fixture; files of another form, such as templates, have none."""
    for table, rows in tables.items() if isinstance(tables, dict) else ():
        if isinstance(rows, list):
            yield from (f"{table}.{column}" for row in rows for column in row)


def _files(installer: Path, folder: str) -> Iterator[tuple[PurePosixPath, str]]:
    with zipfile.ZipFile(installer) as archive:
        for name in sorted(archive.namelist()):
            path = PurePosixPath(name)
            if path.parent == _INSTALL / folder:
                yield path, archive.read(name).decode("utf-8", "replace")


def read_points(wheel: Path) -> Iterator[str]:
    """Yield the entry points of a wheel, as GROUP: NAME."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        group = ""
        for line in "\n".join(archive.read(name).decode() for name in names).splitlines():
            if line.startswith("["):
                group = line.strip("[] ")
            elif "=" in line:
                yield f"{group}: {line.partition('=')[0].strip()}"


def read_words(wheel: Path) -> Iterator[str]:
    """Yield the words of the command line, as FOLDER/MODULE: WORD, by their decorators."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name)
            if path.suffix == ".py" and "cli" in path.parts:
                source = archive.read(name).decode("utf-8", "replace")
                place = "/".join(path.with_suffix("").parts[2:])
                yield from (f"{place}: {word}" for word in _words(source))


def _words(source: str) -> Iterator[str]:
    for found in _COMMAND.finditer(source):
        given = _WORD.match(found["args"])
        yield given["word"] if given else found["def"].replace("_", "-")
