"""The common parts of all resolutions of one release."""

from collections.abc import Sequence
from dataclasses import dataclass

from builder.base.cache import Cache
from builder.base.errors import LockError
from builder.base.model import Arch
from builder.index.tags import is_pure
from builder.index.uv import IndexFile, Limits, Resolved, Target
from builder.lock.file import LockedDistribution, LockedFile
from builder.spec import PackageSpec, ReleaseSpec

Versions = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Session:
    """The common inputs of all resolutions of one release."""

    release: ReleaseSpec
    family: Sequence[PackageSpec]
    requires_python: str
    targets: Sequence[Target]
    cache: Cache
    begun_from: str | None = None  # the line whose file a new one gets a copy of


def limits_of(
    release: ReleaseSpec, arch: Arch, preferred: Versions, constraints: Sequence[str] = ()
) -> Limits:
    """Return the limits of a resolution for the release."""
    return Limits(
        until=release.index_until,
        sdists=tuple(name for name, sdist in release.sdist.items() if arch in sdist.archs),
        constraints=(*release.constraints, *constraints),
        preferred=preferred,
    )


def constraints_of(versions: Versions) -> list[str]:
    """Return each version as a requirement for exactly that version."""
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


def lock_distribution(per_arch: Sequence[tuple[Arch, Resolved]]) -> LockedDistribution:
    """Return one distribution with the file that each architecture installs.

    Raises LockError if an architecture has none.
    """
    first = per_arch[0][1]
    files: dict[str, tuple[Arch, IndexFile]] = {}
    for arch, resolved in per_arch:
        file = resolved.wheel or resolved.sdist
        if file is None:
            raise LockError(f"{resolved.name} {resolved.version} has no file that {arch} can use")
        files[file.name] = (arch, file)
    # The sdist of one architecture beside the wheel of another is not for both.
    universal = len(files) == 1 and all(
        not name.endswith(".whl") or is_pure(name) for name in files
    )
    return LockedDistribution(
        name=first.name,
        version=first.version,
        files=tuple(
            LockedFile(
                file=file.name,
                sha256=file.sha256,
                size=file.size,
                arch=None if universal else arch,
            )
            for arch, file in files.values()
        ),
    )
