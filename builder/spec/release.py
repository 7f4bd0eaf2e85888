"""The schema of a release line: ``pkgspec/releases/NAME.toml``."""

import textwrap
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import AwareDatetime, Field, StringConstraints
from pydantic.functional_validators import model_validator

from builder.base.model import Arch, full_version
from builder.spec.types import (
    Glibc,
    PackageName,
    RequirementText,
    SourcePath,
    Strict,
    TargetPath,
    Text,
    VersionText,
)


class SdistSpec(Strict):
    """A distribution that has no wheel and may be built into one."""

    build_requires: tuple[RequirementText, ...] = ("setuptools",)
    archs: tuple[Arch, ...] = Field(tuple(Arch), description="those that it has no wheel for")


# A line of a Debian changelog has 80 characters, four of them before the text.
_COLUMNS = 76


class Urgency(StrEnum):
    """How soon a version should be installed, in Debian's words (policy 5.6.17)."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    EMERGENCY = "emergency"
    CRITICAL = "critical"


ChangeText = Annotated[Text, StringConstraints(max_length=_COLUMNS)]
# CVE-2026-12345, GHSA-xxxx-xxxx-xxxx, PYSEC-2026-1: a database, and its own name of the record.
VulnerabilityName = Annotated[
    str, StringConstraints(pattern=r"^[A-Z]+-[A-Za-z0-9][A-Za-z0-9-]*$", max_length=60)
]


class ChangelogSpec(Strict):
    """One entry of the packages' changelog, and of the repository's advisories."""

    version: VersionText
    revision: int = Field(1, ge=1)
    day: date
    urgency: Urgency = Urgency.MEDIUM
    packages: tuple[PackageName, ...] = Field(
        (), description="those that it raises alone; default: all of the release"
    )
    changes: tuple[ChangeText, ...]
    fixes: tuple[VulnerabilityName, ...] = Field(
        (), description="known vulnerabilities that the version is rid of: CVE-…, GHSA-…"
    )

    @property
    def lines(self) -> tuple[str, ...]:
        """The changes as packages list them, each vulnerability named."""
        if not self.fixes:
            return self.changes
        # No hyphen is a place to break: whoever searches for a name finds the whole of it.
        text = textwrap.wrap(f"Fixes {', '.join(self.fixes)}.", _COLUMNS, break_on_hyphens=False)
        return (*self.changes, *text)


class OwnSampleSpec(Strict):
    """A file of this project in the place of a sample that the release's wheels lack."""

    target: TargetPath = Field(description="as in the package's [[sample]]")
    source: SourcePath = Field(description="below the project's root; *.j2 renders")


ReleaseLine = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}\.[0-9]{1,2}$")]


def line_of(version: str) -> str:
    """Return the line of a version: 26.9 of 26.9.6."""
    return ".".join(map(str, Version(version).release[:2]))


def package_version(version: str) -> str:
    """Return a release's version as dpkg and rpm order it: a pre-release before its release."""
    parsed = Version(version)
    parts = [parsed.base_version]
    if parsed.pre is not None:
        parts.append("~" + "".join(map(str, parsed.pre)))
    if parsed.dev is not None:
        # Two tildes: a development version sorts before any alpha of the same release.
        parts.append(f"~dev{parsed.dev}" if parsed.pre else f"~~dev{parsed.dev}")
    if parsed.post is not None:
        parts.append(f"+post{parsed.post}")
    if parsed.local:
        parts.append(f"+{parsed.local}")
    return "".join(parts)


class ReleaseSpec(Strict):
    """One release line: ``pkgspec/releases/NAME.toml``."""

    name: Annotated[str, StringConstraints(pattern=r"^[0-9][0-9a-z.]*$")]
    version: VersionText
    revision: int = Field(1, ge=1, description="of the packaging; goes up with each rebuild")
    default: bool = False
    glibc: Glibc = Field("2.28", description="the oldest glibc its wheels may need")
    index_until: AwareDatetime = Field(description="the resolver sees no file uploaded later")
    maintained_until: date | Literal["open"] | None = Field(
        None, description="its publisher's last day for it, or 'open'; default: not maintained"
    )
    packages: Annotated[tuple[PackageName, ...], Field(min_length=1)]
    upgrades_from: tuple[ReleaseLine, ...] = Field(
        (), description="the lines whose databases it can migrate, itself among them; default: all"
    )
    sdist: dict[str, SdistSpec] = {}  # noqa: RUF012 - pydantic copies it
    constraints: tuple[RequirementText, ...] = ()
    sample: tuple[OwnSampleSpec, ...] = ()
    extra_requirements: dict[PackageName, tuple[RequirementText, ...]] = Field(
        {}, description="of a package: what other releases bring with their own requirements"
    )
    changelog: Annotated[tuple[ChangelogSpec, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _changelog_is_of_version(self) -> "ReleaseSpec":
        newest = next((entry for entry in self.changelog if not entry.packages), None)
        if newest is None:
            raise ValueError("no [[changelog]] entry is of all packages")
        if (newest.version, newest.revision) != (self.version, self.revision):
            first = full_version(newest.version, newest.revision)
            raise ValueError(
                f"the first [[changelog]] of all packages is of {first}, "
                f"the release of {full_version(self.version, self.revision)}"
            )
        unknown = {name for entry in self.changelog for name in entry.packages}
        unknown -= set(self.packages)
        if unknown:
            raise ValueError(f"[[changelog]] names {', '.join(sorted(unknown))}, not in 'packages'")
        return self

    @property
    def line(self) -> str:
        """The line that the release is of, as 'upgrades-from' names it: 26.9 of 26.9.5."""
        return line_of(self.version)

    def is_maintained(self, day: date) -> bool:
        """Return whether the publisher maintains the line on ``day``."""
        until = self.maintained_until
        return until == "open" or (until is not None and day <= until)

    def changelog_of(self, package: str) -> tuple[ChangelogSpec, ...]:
        """Return the entries of one package, newest first: its own, and those of all."""
        return tuple(
            entry for entry in self.changelog if not entry.packages or package in entry.packages
        )

    def revision_of(self, package: str) -> int:
        """Return the packaging's revision of one package."""
        return self.changelog_of(package)[0].revision

    def revision_beside(self, package: str, other: str) -> int:
        """Return the revision that ``package`` had when ``other`` was raised last.

        What a package says of another one stays the same until it is raised itself.
        """
        known = self.changelog[self.changelog.index(self.changelog_of(other)[0]) :]
        concerned = (entry for entry in known if not entry.packages or package in entry.packages)
        return next(concerned).revision

    @property
    def epoch(self) -> int:
        """SOURCE_DATE_EPOCH of what no package alone is the reason for."""
        return self.epoch_of("")

    def epoch_of(self, package: str) -> int:
        """Return SOURCE_DATE_EPOCH where the environment has none: the newest entry's day."""
        day = self.changelog_of(package)[0].day
        return int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())

    def full_version_of(self, package: str) -> str:
        """Return the version of one package with the packaging's revision."""
        return full_version(self.package_version, self.revision_of(package))

    @property
    def package_version(self) -> str:
        """The version as dpkg and rpm order it: a pre-release sorts before its release."""
        return package_version(self.version)

    def builds_sdist(self, distribution: str) -> SdistSpec | None:
        """Return how to build this distribution, if the release allows it."""
        wanted = canonicalize_name(distribution)
        return next((s for n, s in self.sdist.items() if canonicalize_name(n) == wanted), None)
