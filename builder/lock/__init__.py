"""Locks: every wheel a package installs, by version, file and sha256, per architecture."""

from builder.lock.file import Lock, LockedDistribution, LockedFile, load_lock, lock_path, save_lock
from builder.lock.inputs import inputs_digest, pinned, sample_pins, stale_locks

__all__ = [
    "Lock",
    "LockedDistribution",
    "LockedFile",
    "inputs_digest",
    "load_lock",
    "lock_path",
    "pinned",
    "sample_pins",
    "save_lock",
    "stale_locks",
]
