"""Takes old versions out of channels, by the retention in ``repo.toml``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path, PurePosixPath

from builder.base import log
from builder.base.files import walk_files
from builder.repo.config import RepoConfig
from builder.repo.core import Repository
from builder.repo.dated import list_snapshots, outdated_snapshots
from builder.repo.model import POOL, RepoPackage
from builder.repo.state_going import GoingPackages
from builder.repo.state_packages import StoredPackages


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """The packages that pruning removes; they can be read as long as the repository is open."""

    left: Mapping[str, GoingPackages]  # by the channel that loses them
    removed: GoingPackages  # no channel has them any more


def prune_packages(repository: Repository, now: datetime, *, dry_run: bool = False) -> Pruned:
    """End the membership of versions that a channel need not keep; drop packages left in none.

    A snapshot that is not kept loses all its packages, and is no more.

    A later publication deletes the files, when no reader can still use them.
    """
    state, config = repository.state, repository.config
    with state.transaction():
        going = state.begin_pruning()
        left = {
            channel: going.leave(channel, _outdated(state.select(channel), config, channel, now))
            for channel in config.channels
        }
        snapshots = list_snapshots(state.channels())
        left |= {
            snapshot.channel: going.leave(snapshot.channel, state.select(snapshot.channel))
            for snapshot in outdated_snapshots(snapshots, config, now)
        }
        kept = {snapshot.channel for snapshot in snapshots}
        for channel in set(state.channels()) - set(config.channels) - kept:
            log.warn(f"channel {channel} is not in repo.toml any more; its packages stay")
        removed = going.orphans()
        if not dry_run:
            going.apply()
    return Pruned(left={name: rows for name, rows in left.items() if len(rows)}, removed=removed)


def _outdated(
    packages: StoredPackages, config: RepoConfig, channel: str, now: datetime
) -> Iterator[RepoPackage]:
    retention = config.retention_of(channel)
    if retention.keep == "all":
        return
    oldest = now - timedelta(days=retention.max_age_days) if retention.max_age_days else now
    for versions in packages.newest_first():
        older = islice(versions, retention.keep, None)
        yield from (package for package in older if package.added <= oldest)


def dangling_files(repository: Repository) -> list[PurePosixPath]:
    """Return the pool's files that the state does not list: an addition was interrupted."""
    public = repository.public
    found = (
        PurePosixPath(Path(file.path).relative_to(public)) for file in walk_files(public / POOL)
    )
    return sorted(path for path in found if not repository.state.knows(path))
