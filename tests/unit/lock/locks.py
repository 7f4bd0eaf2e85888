"""Locks of a few wheels."""

import sys
from pathlib import Path

from builder.base.files import hash_file
from builder.base.model import Arch
from builder.lock import Lock
from builder.lock.file import LockedDistribution, LockedFile

MINOR = f"3.{sys.version_info.minor}"


def lock_of(*wheels: LockedDistribution) -> Lock:
    return Lock.model_validate(
        {
            "release": "26.9",
            "version": "26.9.6",
            "package": "backendai-example",
            "python": MINOR,
            "requires-python": f">={MINOR}",
            "glibc": "2.28",
            "inputs": "ab" * 32,
            "wheel": wheels,
        }
    )


def distribution(path: Path, name: str, arch: Arch | None = None) -> LockedDistribution:
    file = LockedFile(file=path.name, sha256=hash_file(path), size=path.stat().st_size, arch=arch)
    return LockedDistribution(name=name, version="1.0", files=(file,))
