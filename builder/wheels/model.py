"""Wheels in the cache, and requests for the distributions of a lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.base.model import Arch
from builder.index.uv import Target
from builder.lock import LockedDistribution, LockedFile


@dataclass(frozen=True, kw_only=True)
class WheelFile:
    """A wheel in the cache, ready to be installed."""

    name: str  # of the distribution, normalised
    version: str
    file: str  # the wheel's file name
    sha256: str
    path: Path

    @property
    def pin(self) -> str:
        """The requirement for exactly this version."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, kw_only=True)
class WheelRequest:
    """Distributions of a lock for one target, and the permitted ways to get them."""

    distributions: Sequence[LockedDistribution]
    build: Sequence[LockedDistribution]
    target: Target

    def files(self, arch: Arch | None = None) -> list[tuple[LockedDistribution, LockedFile]]:
        """Return every distribution that the architecture installs, with its file."""
        wanted = arch or self.target.arch
        pairs = (
            (distribution, distribution.file_for(wanted)) for distribution in self.distributions
        )
        return [(distribution, file) for distribution, file in pairs if file is not None]

    def all_files(self) -> list[tuple[LockedDistribution, LockedFile]]:
        """Return :meth:`files`, and the build requirements of the sdists among them."""
        found = self.files()
        if any(not file.is_wheel for _, file in found):
            # Build requirements are locked for one architecture; they are pure.
            found += [
                (distribution, file) for distribution in self.build for file in distribution.files
            ]
        return found
