"""The parts of a plan: entries, samples, the Python tree, and the parts of each format."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from builder.base.model import Arch, PackageFormat, full_version
from builder.base.paths import TARGET_DOC
from builder.lock import LockedDistribution
from builder.spec.prune import PruneRule
from builder.spec.release import ChangelogSpec
from builder.spec.schema import AddonSpec, PayloadKind

ROOT = "root"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file, folder or link of the payload that is not part of the Python tree."""

    target: PurePosixPath
    kind: PayloadKind
    mode: int
    owner: str = ROOT
    group: str = ROOT
    formats: tuple[PackageFormat, ...] = tuple(PackageFormat)
    content: bytes | None = None  # of a file, unless the build makes it
    link: str | None = None  # of a symlink


@dataclass(frozen=True, kw_only=True)
class SampleEntry:
    """A file, or a folder's files, to extract from a wheel of the lock."""

    distribution: LockedDistribution
    member: str
    target: PurePosixPath


@dataclass(frozen=True, kw_only=True)
class PythonPlan:
    """A Python tree: its prefix, and the distributions in it.

    The runtime has CPython and the wheels of all services. A service is a virtual
    environment upon it, and an add-on a part of its host's environment.
    """

    prefix: PurePosixPath
    base: PurePosixPath | None  # prefix of the runtime below it; None: this is the runtime
    minor: str
    requires_python: str
    glibc: str
    wheels: tuple[LockedDistribution, ...]
    build: tuple[LockedDistribution, ...]
    foreign_binaries: tuple[str, ...]
    shared: tuple[str, ...] = ()  # names of its distributions that the runtime has
    prune: tuple[PruneRule, ...] = ()  # of the files of wheels
    addon: AddonSpec | None = None  # then the Python is its host's, and only wheels are added


@dataclass(frozen=True, kw_only=True)
class FormatPlan:
    """The parts of a plan that only one format has."""

    depends: tuple[str, ...]
    recommends: tuple[str, ...]
    suggests: tuple[str, ...]
    conflicts: tuple[str, ...]
    scripts: Mapping[str, str]  # script name to text
    breaks: tuple[str, ...] = ()  # dpkg's word
    provides: tuple[str, ...] = ()
    triggers_interest: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Change:
    """An entry of the changelog."""

    version: str  # of the release, as its publisher spells it
    revision: int
    day: str
    urgency: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, entry: ChangelogSpec) -> "Change":
        """Return the entry as packages list it."""
        return cls(
            version=entry.version,
            revision=entry.revision,
            day=entry.day.isoformat(),
            urgency=entry.urgency.value,
            lines=entry.lines,
        )


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """The facts of the package that both formats state."""

    name: str
    version: str  # without the packaging's revision
    revision: int
    summary: str
    description: str
    section: str
    group: str
    maintainer: str
    vendor: str
    homepage: str
    licence: str
    changelog: tuple[Change, ...]  # newest first

    @property
    def full_version(self) -> str:
        """The version with the packaging's revision."""
        return full_version(self.version, self.revision)


@dataclass(frozen=True, kw_only=True)
class PackagePlan:
    """All decisions that precede any download or build."""

    release: str
    arch: Arch | None  # None: for every architecture
    metadata: Metadata
    python: PythonPlan | None
    entries: tuple[Entry, ...]
    samples: tuple[SampleEntry, ...]
    resolved_for: tuple[str, str] | None  # Python's minor and the glibc of the lock
    formats: Mapping[PackageFormat, FormatPlan]
    own_folders: tuple[str, ...]  # prefixes of the names of folders that belong to the packages

    @property
    def name(self) -> str:
        """The package's name."""
        return self.metadata.name


def doc_folder(plan: PackagePlan) -> PurePosixPath:
    """Return the package's folder under /usr/share/doc."""
    return TARGET_DOC / plan.name
