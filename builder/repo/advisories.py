"""What the versions of a repository's packages are good for, from the changelogs of pkgspec/. Pure.

Each entry of a changelog is an advisory: ``updateinfo.xml`` of a channel has those whose
packages the channel has, for ``dnf updateinfo`` and ``dnf upgrade --security``. Those that
fix known vulnerabilities are records in OSV's format, too, for scanners and ``builder audit``.
"""

import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import PurePosixPath
from typing import Any

import createrepo_c

from builder.base.cache import key_of
from builder.base.model import PackageFormat, full_version
from builder.repo.model import Index, RepoPackage
from builder.repo.version import version_key
from builder.sbom.cyclonedx import VENDOR, package_purl
from builder.spec import ReleaseSpec
from builder.spec.release import ChangelogSpec, Urgency, line_of, package_version

OSV = PurePosixPath("osv")
_ALL = "all.zip"
_SCHEMA = "1.7.0"  # of OSV
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a ZIP can state
# Red Hat's words for how severe a vulnerability is, by Debian's for how urgent a version is.
_SEVERITIES = {
    Urgency.LOW: "Low",
    Urgency.MEDIUM: "Moderate",
    Urgency.HIGH: "Important",
    Urgency.EMERGENCY: "Critical",
    Urgency.CRITICAL: "Critical",
}
_PLACES = {
    "CVE": ("cve", "https://www.cve.org/CVERecord?id="),
    "GHSA": ("other", "https://github.com/advisories/"),
}
_ANYWHERE = ("other", "https://osv.dev/vulnerability/")


@dataclass(frozen=True, kw_only=True)
class Advisory:
    """A version of some packages, and what it changes."""

    name: str
    line: str
    version: str  # with the revision
    packages: tuple[str, ...]
    entry: ChangelogSpec

    @property
    def kind(self) -> str:
        """Its type in ``updateinfo.xml``."""
        if self.entry.fixes:
            return "security"
        return "bugfix" if self.entry.revision > 1 else "enhancement"

    @property
    def severity(self) -> str:
        """How severe the vulnerabilities are; of anything else it is none."""
        return _SEVERITIES[self.entry.urgency] if self.entry.fixes else "None"

    @property
    def title(self) -> str:
        """The packages and the first change in one line."""
        one = self.packages[0] if len(self.packages) == 1 else f"{len(self.packages)} packages"
        return f"{one} {self.version}: {self.entry.changes[0]}"

    @property
    def text(self) -> str:
        """All changes."""
        return "\n".join(self.entry.lines)

    @property
    def time(self) -> datetime:
        """The beginning of its day."""
        return datetime.combine(self.entry.day, time(), UTC)

    def brings(self, package: RepoPackage) -> bool:
        """Return whether the package has the changes.

        Where a later version of the line has taken the place of a fix, it is that one.
        """
        if package.name not in self.packages:
            return False
        number = _number(package)
        if not self.entry.fixes:  # of no interest once it is gone
            return number == self.version
        is_of_line = number.startswith(tuple(f"{self.line}{sign}" for sign in ".-~+"))
        return is_of_line and not _order(package) < version_key(package.fmt, self.version)


_Brought = tuple[Advisory, dict[tuple[str, ...], RepoPackage]]


def find_brought(
    advisories: Iterable[Advisory], packages: Iterable[RepoPackage]
) -> list[tuple[Advisory, list[RepoPackage]]]:
    """Return the packages that have the changes of each advisory; those without one are left out.

    Of each name, format and architecture it is the first version that has them. The packages
    are read once, and not held.
    """
    # Most are of one version alone: few are compared with a package.
    likely: defaultdict[tuple[str, str], list[_Brought]] = defaultdict(list)
    found: list[_Brought] = []
    for advisory in advisories:
        found.append((advisory, {}))
        for name in advisory.packages:
            likely[name, "" if advisory.entry.fixes else advisory.version].append(found[-1])
    for package in packages if found else ():
        exact = likely.get((package.name, _number(package)), ())
        for advisory, brought in (*exact, *likely.get((package.name, ""), ())):
            if advisory.brings(package):
                key = (package.fmt.value, package.name, package.arch)
                known = brought.setdefault(key, package)
                if _order(package) < _order(known):
                    brought[key] = package
    return [
        (advisory, [brought[key] for key in sorted(brought)])
        for advisory, brought in found
        if brought
    ]


def _number(package: RepoPackage) -> str:
    """Return the version without the epoch."""
    return package.version.rpartition(":")[2]


def _order(package: RepoPackage) -> Any:
    return version_key(package.fmt, package.version)


def list_advisories(releases: Iterable[ReleaseSpec]) -> list[Advisory]:
    """Return the advisories of all lines, by their names; each once."""
    found = {}
    for release in releases:
        for entry in release.changelog:
            version = full_version(package_version(entry.version), entry.revision)
            # Of one version and revision there may be several, of other packages each.
            suffix = f"-{entry.packages[0]}" if entry.packages else ""
            name = f"{VENDOR.upper()}-{version}{suffix}"
            found[name] = Advisory(
                name=name,
                line=line_of(entry.version),
                version=version,
                packages=entry.packages or release.packages,
                entry=entry,
            )
    return [found[name] for name in sorted(found)]


def advisories_key(advisories: Iterable[Advisory], packages: Iterable[RepoPackage]) -> str:
    """Return a hash of what ``updateinfo.xml`` has of these packages."""
    rows = [
        [advisory.name, advisory.entry.model_dump(mode="json"), [str(p.pool) for p in brought]]
        for advisory, brought in find_brought(advisories, packages)
    ]
    return key_of(rows)


def render_updateinfo(
    advisories: Iterable[Advisory], packages: Iterable[RepoPackage], channel: str
) -> bytes:
    """Render the advisories of the rpms of a channel; empty where there are none."""
    info = createrepo_c.UpdateInfo()
    for advisory, brought in find_brought(advisories, packages):
        rpms = [package for package in brought if package.fmt is PackageFormat.RPM]
        if rpms:
            info.append(_update(advisory, rpms, channel))
    return info.xml_dump().encode() if info.updates else b""


def _update(
    advisory: Advisory, packages: Iterable[RepoPackage], channel: str
) -> createrepo_c.UpdateRecord:
    record = createrepo_c.UpdateRecord()
    record.id, record.title, record.type = advisory.name, advisory.title, advisory.kind
    record.severity, record.status, record.version = advisory.severity, "final", "1"
    record.fromstr, record.release = VENDOR, channel
    # Without a zone: as createrepo_c writes it, and clients read it.
    record.issued_date = record.updated_date = advisory.time.replace(tzinfo=None)
    record.summary, record.description = advisory.title, advisory.text
    for name in advisory.entry.fixes:
        kind, _ = _place(name)
        reference = createrepo_c.UpdateReference()
        reference.href, reference.id = _address(name), name
        reference.type, reference.title = kind, name
        record.append_reference(reference)
    collection = createrepo_c.UpdateCollection()
    collection.shortname = collection.name = channel
    for package in packages:
        collection.append(_row(package))
    record.append_collection(collection)
    return record


def _row(package: RepoPackage) -> createrepo_c.UpdateCollectionPackage:
    epoch, colon, rest = package.version.rpartition(":")
    version, _, release = rest.rpartition("-")
    row = createrepo_c.UpdateCollectionPackage()
    row.name, row.arch, row.filename = package.name, package.arch, package.file
    row.epoch, row.version, row.release = epoch if colon else "0", version, release
    return row


def _place(name: str) -> tuple[str, str]:
    return _PLACES.get(name.partition("-")[0], _ANYWHERE)


def _address(name: str) -> str:
    _, base = _place(name)
    return f"{base}{name}"


def render_osv(advisories: Iterable[Advisory], packages: Iterable[RepoPackage]) -> Index:
    """Render the advisories that fix vulnerabilities of these packages, in OSV's format.

    A file for each, and all of them in a ZIP. https://ossf.github.io/osv-schema/
    """
    fixing = [advisory for advisory in advisories if advisory.entry.fixes]
    records = [_osv_record(advisory) for advisory, _ in find_brought(fixing, packages)]
    files = {f"{record['id']}.json": _json(record) for record in records}
    if not files:
        return {}
    return {**{OSV / name: data for name, data in files.items()}, OSV / _ALL: _zip(files)}


def _osv_record(advisory: Advisory) -> dict[str, object]:
    day = f"{advisory.time:%Y-%m-%dT%H:%M:%SZ}"
    return {
        "schema_version": _SCHEMA,
        "id": f"x_{advisory.name}",  # x_: of a database that is not among OSV's own
        "modified": day,
        "published": day,
        "upstream": list(advisory.entry.fixes),
        "summary": advisory.title,
        "details": advisory.text,
        "affected": [_affected(advisory, name) for name in advisory.packages],
        "references": [
            {"type": "ADVISORY", "url": _address(name)} for name in advisory.entry.fixes
        ],
        "database_specific": {"severity": advisory.severity, "urgency": advisory.entry.urgency},
    }


def _affected(advisory: Advisory, name: str) -> dict[str, object]:
    # Of the ecosystems that the format knows, this has the versions' order; rpms have the same
    # versions. Debian itself has no package of these names.
    events = [{"introduced": f"{advisory.line}~"}, {"fixed": advisory.version}]
    purl = package_purl(PackageFormat.DEB, name)
    return {
        "package": {"ecosystem": "Debian", "name": name, "purl": purl},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }


def _json(record: Mapping[str, object]) -> bytes:
    return (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()


def _zip(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED)
    return packed.getvalue()
