"""Phased updates: a new version reaches a share of the hosts first. apt alone has them.

All packages that are promoted together get one source package in the indexes of apt while they
are phased, so that a host gets all of them or none. apt holds back upgrades alone: neither what
a host has not yet, nor a version that is named.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

from builder.base import log
from builder.base.errors import UsageError
from builder.base.model import PackageFormat
from builder.repo.advisories import Advisory, find_brought
from builder.repo.core import Repository
from builder.repo.model import RepoPackage, Rollout
from builder.repo.version import version_key


def begin_rollout(
    repository: Repository,
    channel: str,
    packages: Sequence[RepoPackage],
    percent: int,
    advisories: Iterable[Advisory] = (),
) -> list[RepoPackage]:
    """Phase the newest versions among packages that have just joined a channel; returns them.

    A name that the channel had no other version of is not phased: no host waits for it. None is
    phased if one of them brings the fix of a known vulnerability to the channel.
    """
    state = repository.state
    fresh = {package.sha256 for package in packages}
    members = state.select(channel).where(fmt=PackageFormat.DEB)
    for advisory, brought in find_brought(advisories, members):
        if advisory.entry.fixes and any(package.sha256 in fresh for package in brought):
            names = ", ".join(advisory.entry.fixes)
            log.warn(f"nothing is phased: {advisory.version} fixes {names}")
            return []
    newest = [tuple(islice(versions, 2)) for versions in members.newest_first()]
    chosen = [first for first, *older in newest if older and first.sha256 in fresh]
    if chosen:
        version = max((p.version for p in chosen), key=lambda v: version_key(PackageFormat.DEB, v))
        rollout = Rollout(percent=percent, source=f"{repository.config.name} ({version})")
        state.record_rollouts(channel, dict.fromkeys((p.sha256 for p in chosen), rollout))
    return chosen


def continue_rollouts(repository: Repository, percent: int) -> int:
    """Set all rollouts to another share of the hosts; returns the number of packages.

    Raises UsageError if there is none.
    """
    count = 0
    for channel in repository.config.channels:
        found = repository.state.rollouts(channel)
        changed = {
            sha256: Rollout(percent=percent, source=rollout.source)
            for sha256, rollout in found.items()
        }
        repository.state.record_rollouts(channel, changed)
        count += len(changed)
    if not count:
        raise UsageError(
            "no version is phased, so there is nothing to continue",
            hint="a rollout begins with 'builder repo promote --phased PERCENT'",
        )
    return count
