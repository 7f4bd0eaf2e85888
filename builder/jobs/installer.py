"""Fetches the wheel of a release's own installer, from which samples and fixtures come."""

from pathlib import Path

from builder.base.cache import Cache
from builder.base.errors import LockError
from builder.base.model import Arch
from builder.index.uv import Target
from builder.lock import load_lock
from builder.lock.inputs import needs_lock
from builder.lock.installer import DISTRIBUTION
from builder.spec import ReleaseSpec, Spec
from builder.wheels.files import fetch_files
from builder.wheels.model import WheelRequest


def fetch_installer(spec: Spec, release: ReleaseSpec, cache: Cache) -> Path:
    """Fetch the wheel that the locks pin; LockError if no package has samples from it."""
    for package in filter(needs_lock, (spec.packages[name] for name in release.packages)):
        lock = load_lock(spec.root, release.name, package.name)
        for distribution in lock.sample:
            if distribution.name == DISTRIBUTION:
                target = Target(minor=lock.python, arch=Arch.AMD64, glibc=lock.glibc)
                needed = WheelRequest(distributions=[distribution], build=(), target=target)
                (path,) = fetch_files(needed, cache, offline=False).values()
                return path
    raise LockError(f"no package of {release.name} takes samples from {DISTRIBUTION}")
