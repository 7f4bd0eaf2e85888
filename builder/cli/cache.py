"""``builder cache``: what the cache holds, and how it stays small."""

import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from builder.base import log
from builder.base.cache import open_cache
from builder.base.errors import UsageError
from builder.base.paths import cache_root
from builder.base.words import size_text
from builder.cli.options import json_option, project_cache
from builder.jobs.prune import (
    CacheEntry,
    PruneLimits,
    choose_unneeded,
    list_entries,
    remove_entries,
)
from builder.jobs.push import push_entries
from builder.net.remote_cache import VARIABLE, open_remote_cache

_DAY_S = 24 * 3600


class _Amount(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A number with a unit, as a number of the smallest one."""

    def __init__(self, name: str, units: dict[str, int]) -> None:
        self.name = name
        self._units = units

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the amount; a usage error names the units."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d{1,6})([A-Za-z]+)", str(value).strip(), re.ASCII)
        if match is None or match[2] not in self._units:
            units = ", ".join(self._units)
            self.fail(f"'{value}' is not a whole number with a unit of: {units}", param, ctx)
        return int(match[1]) * self._units[match[2]]


_DURATION = _Amount("duration", {"h": 3600, "d": _DAY_S, "w": 7 * _DAY_S})
_SIZE = _Amount("size", {"MB": 10**6, "GB": 10**9, "TB": 10**12})


@click.group("cache")
def cache_group() -> None:
    """The cache: what is in it, and how to make it smaller."""


@cache_group.command("list")
@json_option
def list_command(*, as_json: bool) -> None:
    """Show what the cache holds: each kind with its size and last use."""
    cache = project_cache()
    rows = _by_kind(list_entries(cache))
    if as_json:
        click.echo(json.dumps({"cache": str(cache.root), "kinds": rows}, indent=2))
        return
    click.echo(str(cache.root))
    for row in rows:
        used = time.strftime("%Y-%m-%d", time.gmtime(row["oldest"]))
        size = size_text(row["size"])
        click.echo(f"{row['kind']:<16}{row['entries']:>8}{size:>12}  used since {used}")


@cache_group.command("prune")
@click.option("--unused-for", type=_DURATION, metavar="30d", help="Remove what no build took.")
@click.option("--keep", type=_SIZE, metavar="20GB", help="Remove the longest unused above that.")
@click.option("--downloads", is_flag=True, help="Remove downloads, too: a build fetches them.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@json_option
def prune_command(
    *, unused_for: int | None, keep: int | None, downloads: bool, dry_run: bool, as_json: bool
) -> None:
    """Remove what builds no longer use; by default, what none took for 30 days.

    What is removed is made again when a build needs it. While another builder uses the
    cache, nothing is removed.
    """
    if unused_for is None and keep is None:
        unused_for = 30 * _DAY_S
    cache = project_cache()
    if not dry_run:
        cache.claim()
    log.step(f"looking at {cache.root}")
    entries = list_entries(cache)
    limits = PruneLimits(unused_s=unused_for, kept_bytes=keep, downloads=downloads)
    chosen = choose_unneeded(entries, limits, time.time())
    if not dry_run:
        remove_entries(cache, chosen)
    freed = sum(entry.size for entry in chosen)
    left = sum(entry.size for entry in entries) - freed
    if as_json:
        found = {"dry-run": dry_run, "removed": _by_kind(chosen), "freed": freed, "left": left}
        click.echo(json.dumps(found, indent=2))
        return
    verb = "would remove" if dry_run else "removed"
    log.step(f"{verb} {len(chosen)} entries of {size_text(freed)}; {size_text(left)} stay")


@cache_group.command("push")
@click.option("--used-within", type=_DURATION, metavar="7d", help="Only what a build took since.")
@json_option
def push_command(*, used_within: int | None, as_json: bool) -> None:
    """Give the shared cache (BUILDER_REMOTE_CACHE) what this one has and that one lacks.

    Builds give what they make; this is for a shared cache that is new, or was away. Each
    entry is hashed first. What depends on this host, such as a compiled CPython, stays here.
    """
    remote = open_remote_cache(offline=False)
    if remote is None:
        raise UsageError(
            f"{VARIABLE} is not set: there is nothing to push to",
            hint=f"name a folder, a server or a bucket: {VARIABLE}=/mnt/cache builder cache push",
        )
    cache = open_cache(cache_root(), remote)
    since = None if used_within is None else time.time() - used_within
    try:
        pushed = push_entries(cache, remote, since=since)
    finally:
        remote.store.close()
    if as_json:
        click.echo(json.dumps(asdict(pushed), indent=2))
    else:
        log.step(pushed.summary())


def _by_kind(entries: Sequence[CacheEntry]) -> list[dict[str, Any]]:
    counts = Counter(entry.kind for entry in entries)
    return [
        {
            "kind": kind,
            "entries": counts[kind],
            "size": sum(entry.size for entry in entries if entry.kind == kind),
            "oldest": int(min(entry.used for entry in entries if entry.kind == kind)),
        }
        for kind in sorted(counts)
    ]
