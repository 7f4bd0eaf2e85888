"""What the packages of a release will have inside, by its locks: for audits before a build. Pure.

The locks know wheels, the pins CPython. What wheels bundle, and the libraries of a CPython,
only a package's own SBOM has.
"""

from collections.abc import Iterable, Mapping, Sequence

from builder.base.model import Arch, PackageFormat
from builder.lock import Lock, LockedDistribution
from builder.plan.shared import shared_wheels
from builder.sbom.cyclonedx import package_purl
from builder.sbom.runtime import cpython_purl
from builder.sbom.wheels import pypi_purl
from builder.spec import ReleaseSpec, Spec

Document = Mapping[str, object]


def planned_documents(
    spec: Spec, release: ReleaseSpec, locks: Sequence[Lock], pythons: Iterable[str]
) -> dict[str, Document]:
    """Return a document, in the form of CycloneDX, for each package that has wheels or CPython.

    ``pythons`` are the pinned versions, of which a build takes one of the locks' minor version.
    """
    services = [lock for lock in locks if spec.packages[lock.package].has_environment]
    shared = {arch: shared_wheels(services, arch) for arch in Arch}
    of_all = _once(wheel for wheels in shared.values() for wheel in wheels)
    minors = {lock.python for lock in locks}
    found: dict[str, list[Document]] = {}
    if spec.project.runtime in release.packages:
        used = sorted(version for version in set(pythons) if version.rpartition(".")[0] in minors)
        cpython = [_row("CPython", version, cpython_purl(version)) for version in used]
        found[spec.project.runtime] = [*cpython, *map(_wheel, of_all)]
    names = {wheel.name for wheel in shared[Arch.AMD64]} & {
        wheel.name for wheel in shared[Arch.ARM64]
    }
    for lock in locks:
        found[lock.package] = [_wheel(w) for w in lock.wheel if w.name not in names]
    return {
        name: _document(release, name, rows)
        for name, rows in found.items()
        if rows or spec.packages[name].python
    }


def _once(wheels: Iterable[LockedDistribution]) -> list[LockedDistribution]:
    return list({wheel.pin: wheel for wheel in wheels}.values())


def _wheel(wheel: LockedDistribution) -> Document:
    return _row(wheel.name, wheel.version, pypi_purl(wheel.name, wheel.version))


def _row(name: str, version: str, purl: str) -> Document:
    return {"name": name, "version": version, "purl": purl}


def _document(release: ReleaseSpec, name: str, rows: Sequence[Document]) -> Document:
    version = release.full_version_of(name)
    purl = package_purl(PackageFormat.DEB, name, version)
    return {
        "metadata": {"component": {"name": name, "version": version, "purl": purl}},
        "components": rows,
    }
