"""Dated snapshots: what a channel had when it was published, under a name that stays.

A snapshot is a channel that nothing joins: ``snapshots/2026-11-25/stable``. As long as it is
kept, its packages stay in the pool, as those of any channel do; so it costs its indexes, and no
copy of a package. Its indexes state the time when it was taken, and no end of their validity.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath

from builder.repo.config import ChannelSpec, RepoConfig
from builder.repo.state import State

SNAPSHOTS = PurePosixPath("snapshots")
# Where Release says that apt finds a snapshot: it replaces the last part, and adds dists/CHANNEL.
APT_SNAPSHOTS = f"{SNAPSHOTS}/@SNAPSHOTID@/"
_NAME = re.compile(r"snapshots/(\d{4}-\d\d-\d\d)(?:-(\d+))?/([^/]+)")


@dataclass(frozen=True, kw_only=True, order=True)
class Snapshot:
    """A snapshot of one channel; they sort by the time when they were taken."""

    day: date
    number: int  # of those of a day and channel, from 1
    of: str  # the channel that it was taken of

    @property
    def name(self) -> str:
        """The name that the snapshots of several channels share."""
        return f"{self.day}-{self.number}" if self.number > 1 else f"{self.day}"

    @property
    def channel(self) -> str:
        """The snapshot as a channel."""
        return f"{SNAPSHOTS}/{self.name}/{self.of}"

    @property
    def dists(self) -> PurePosixPath:
        """The folder where ``apt --snapshot NAME`` expects the indexes of the channel."""
        return SNAPSHOTS / self.name / "dists" / self.of


def parse_snapshot(channel: str) -> Snapshot | None:
    """Return the snapshot that is called like this as a channel; None for any other channel."""
    found = _NAME.fullmatch(channel)
    if found is None:
        return None
    day, number, of = found.groups()
    return Snapshot(day=date.fromisoformat(day), number=int(number or 1), of=of)


def list_snapshots(channels: Iterable[str]) -> list[Snapshot]:
    """Return the snapshots among channels, the newest first."""
    found = (parse_snapshot(channel) for channel in channels)
    return sorted((snapshot for snapshot in found if snapshot), reverse=True)


def take_snapshots(state: State, channels: Sequence[str], now: datetime) -> list[Snapshot]:
    """Take a snapshot of each channel that has changed since its newest one, or has none."""
    present = list_snapshots(state.channels())
    taken = []
    for channel in channels:
        before = [snapshot for snapshot in present if snapshot.of == channel]
        newest = before[0].channel if before else ""  # no channel, which has no members
        if state.has_same_members(channel, newest):
            continue
        day = now.astimezone(UTC).date()
        number = max((s.number for s in before if s.day == day), default=0) + 1
        snapshot = Snapshot(day=day, number=number, of=channel)
        with state.transaction():
            state.join_all(snapshot.channel, channel)
        taken.append(snapshot)
    return taken


def outdated_snapshots(
    snapshots: Sequence[Snapshot], config: RepoConfig, now: datetime
) -> list[Snapshot]:
    """Return the snapshots that repo.toml does not keep, of those given newest first. Pure."""
    spec = config.snapshots
    if spec.keep == "all":
        return []
    oldest = (now - timedelta(days=spec.max_age_days or 0)).astimezone(UTC).date()
    found = []
    for channel in dict.fromkeys(snapshot.of for snapshot in snapshots):
        own = [snapshot for snapshot in snapshots if snapshot.of == channel]
        found += [snapshot for snapshot in own[spec.keep :] if snapshot.day <= oldest]
    return found


def config_for(config: RepoConfig, channel: str) -> RepoConfig:
    """Return the configuration that the indexes of a channel or snapshot are made by. Pure."""
    snapshot = parse_snapshot(channel)
    if snapshot is None:
        return config
    spec = ChannelSpec(description=f"{config.label}, {snapshot.of} as published on {snapshot.name}")
    return config.model_copy(update={"channels": {channel: spec}})
