"""Merges what parallel jobs have built: packages, the files beside them, and the manifests.

Everything is read and compared before anything is written. Packages appear by rename, the
manifest last: a merge that is killed is run again.
"""

import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.base.errors import UsageError, VerifyError
from builder.base.files import hash_file
from builder.base.model import Arch, PackageFormat
from builder.base.parse import shown
from builder.base.storage import replacing
from builder.base.words import name_some
from builder.jobs.plans import Planner, PlanRequest
from builder.pack.buildinfo import buildinfo_name
from builder.pack.manifest import MANIFEST, load_manifest, save_manifest
from builder.pack.packing import package_file
from builder.spec import ReleaseSpec, Spec

_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Found:
    """A package that a job has built."""

    folder: Path
    entry: Mapping[str, Any]  # of the manifest

    @property
    def file(self) -> str:
        """The package's file name."""
        return str(self.entry["file"])

    @property
    def path(self) -> Path:
        """Where the job has left the package."""
        return self.folder / self.file

    @property
    def beside(self) -> list[Path]:
        """The files that belong to the package: SBOM, provenance, signatures, .buildinfo."""
        own = sorted(
            path
            for path in self.folder.iterdir()
            if path.name.startswith(f"{self.file}.") and path.is_file()
        )
        info = self.folder / buildinfo_name(self.file)
        if self.file.endswith(".deb") and info.is_file():
            own += [info, *self.folder.glob(f"{info.name}.*")]
        return own


@dataclass(frozen=True, kw_only=True)
class Merge:
    """The packages of all jobs, each once, and what is missing of them."""

    packages: Sequence[Found]
    repeated: int  # packages that more than one job has built, with the same bytes
    missing: Mapping[str, Sequence[str]]  # files by the job that should have made them


def read_folders(folders: Iterable[Path]) -> list[Found]:
    """Return the packages of each folder; UsageError if a manifest or its packages are not there.

    Raises VerifyError if a package is not the one that its manifest names.
    """
    found = []
    for folder in folders:
        entries = load_manifest(folder)
        if not entries:
            raise UsageError(
                f"{folder / MANIFEST}: no packages, or no readable manifest",
                hint="name the folder that 'builder build --out' was given",
            )
        found += [Found(folder=folder, entry=entry) for entry in entries]
    for package in found:
        _check(package)
    return found


def _check(package: Found) -> None:
    if package.path.is_symlink() or not package.path.is_file():
        raise UsageError(
            f"{package.path}: the manifest names it, and it is not there",
            hint="upload the whole folder of the job, or build the package again",
        )
    sha256 = hash_file(package.path)
    if sha256 != package.entry.get("sha256"):
        raise VerifyError(
            f"{package.path}: its sha256 is {sha256}, in the manifest it is"
            f" {shown(package.entry.get('sha256'))}",
            hint="sign packages after the merge; else the file is damaged: run the job again",
        )


def plan_merge(found: Sequence[Found], expected: Mapping[str, Collection[str]]) -> Merge:
    """Return each package once. Pure.

    ``expected`` are the files of each job. Raises VerifyError, naming all of them, if jobs have
    built different packages of one name.
    """
    chosen: dict[str, Found] = {}
    clashes: list[str] = []
    for package in found:
        first = chosen.setdefault(package.file, package)
        if first.entry["sha256"] != package.entry["sha256"]:
            clashes.append(f"{package.file} in {first.folder} and in {package.folder}")
    if clashes:
        raise VerifyError(
            f"different packages of the same name: {name_some(clashes, _SHOWN)}",
            hint="'builder reproduce FILE' shows which one this source makes",
        )
    missing = {
        job: [file for file in sorted(files) if file not in chosen]
        for job, files in expected.items()
    }
    return Merge(
        packages=[chosen[file] for file in sorted(chosen)],
        repeated=len(found) - len(chosen),
        missing={job: files for job, files in missing.items() if files},
    )


def check_complete(merge: Merge, expected: Mapping[str, Collection[str]]) -> None:
    """Raise VerifyError that names the jobs whose packages are missing."""
    if not merge.missing:
        return
    jobs = [
        f"{job} (all {len(files)} packages)"
        if len(files) == len(expected[job])
        else f"{job} ({name_some(files, _SHOWN)})"
        for job, files in merge.missing.items()
    ]
    raise VerifyError(
        f"packages are missing of {'; '.join(jobs)}",
        hint="run these jobs again, or merge what there is with --partial",
    )


def write_merge(merge: Merge, out: Path) -> None:
    """Put the packages and the joined manifest into ``out``."""
    for package in merge.packages:
        if package.folder.resolve() == out.resolve():
            continue
        for path in (*package.beside, package.path):
            with replacing(out / path.name) as part:
                shutil.copyfile(path, part)
    save_manifest(out, [package.entry for package in merge.packages])


def expected_files(
    spec: Spec,
    project: Path,
    releases: Sequence[ReleaseSpec],
    kinds: tuple[Sequence[Arch], Sequence[PackageFormat]],
) -> dict[str, list[str]]:
    """Return the packages that each job of the matrix makes, by the job's name."""
    archs, formats = kinds
    found = {}
    for release in releases:
        packages = spec.select(release, ())
        for arch in archs:
            request = PlanRequest(release=release, packages=packages, archs=(arch,))
            plans = Planner(request, spec, project).packages()
            found[f"{release.name}-{arch.value}"] = [
                package_file(plan, fmt) for plan in plans for fmt in formats
            ]
    return found
