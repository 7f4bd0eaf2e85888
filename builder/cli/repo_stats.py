"""``builder repo stats``."""

import json
from collections.abc import Iterator

from builder.base.words import size_text
from builder.repo.core import Repository
from builder.repo.stats import PackageSize, Stats, make_stats

_SHOWN = 10
_DAYS = 7


def repository_stats(repository: Repository) -> Stats:
    """Return the numbers of an open repository."""
    state = repository.state
    channels = {name: state.select(name) for name in repository.config.channels}
    return make_stats(state.everything(), channels)


def stats_text(stats: Stats, *, as_json: bool) -> str:
    """Return the numbers for people, or for machines."""
    return json.dumps(stats.as_dict(), indent=2) if as_json else "\n".join(_lines(stats))


def _lines(stats: Stats) -> Iterator[str]:
    yield f"{stats.packages} packages, {size_text(stats.bytes)}"
    for channel in stats.channels:
        newest = size_text(channel.newest_bytes)
        yield (
            f"{channel.name}: {channel.packages} packages, {size_text(channel.bytes)}; "
            f"the newest versions alone {newest}"
        )
        for size in channel.largest[:_SHOWN]:
            yield f"  {_row(size)}"
    for day in list(stats.added)[-_DAYS:]:
        yield f"added on {day}: {size_text(stats.added[day])}"


def _row(size: PackageSize) -> str:
    growth = ""
    if size.grown_by is not None:
        sign = "-" if size.grown_by < 0 else "+"
        growth = f", {sign}{size_text(abs(size.grown_by))} on the version before"
    versions = f"{size.versions} version{'' if size.versions == 1 else 's'}"
    return (
        f"{size.name} {size.version} ({size.fmt}, {size.arch}): {size_text(size.bytes)}"
        f"{growth}, {versions}"
    )
