"""A build as Markdown, for the page of a CI job. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from builder.jobs.build import Built

Sizes = Mapping[tuple[str, str, str], int]
"""Bytes by name, format and architecture."""


def sizes_of(entries: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str], int]:
    """Return the sizes that a manifest has; of several versions, the last one's."""
    return {
        (str(entry["name"]), str(entry["format"]), str(entry["arch"])): entry["size"]
        for entry in entries
        if {"name", "format", "arch"} <= entry.keys() and type(entry.get("size")) is int
    }


def render_summary(
    title: str, built: Sequence[Built], former: Sizes, *, seconds: float, cache: str = ""
) -> str:
    """Return a table of the packages with their sizes, what changed, and their times.

    ``cache`` is what the remote cache says of itself.
    """
    reused = sum(package.artifact.reused for package in built)
    size = sum(package.artifact.size for package in built)
    totals = f"{len(built)} packages, {size / 1e6:.1f} MB, {seconds:.1f} s"
    hits = f"{reused} of them were in the cache"
    lines = [
        f"## {title}",
        "",
        "; ".join([totals, hits, *([cache] if cache else [])]),
        "",
        "| package | version | architecture | format | MB | change | seconds | cached |",
        "|---|---|---|---|---:|---:|---:|---|",
    ]
    for package in built:
        artifact = package.artifact
        key = (artifact.name, artifact.fmt.value, artifact.arch)
        cells = [
            *(artifact.name, artifact.version, artifact.arch, artifact.fmt.value),
            f"{artifact.size / 1e6:.2f}",
            _change(artifact.size, former.get(key)),
            f"{package.seconds:.1f}",
            "yes" if artifact.reused else "no",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _change(size: int, former: int | None) -> str:
    if former is None:
        return "new"
    if former == size:
        return "0"
    share = f" ({(size - former) / former:+.1%})" if former else ""
    return f"{(size - former) / 1e3:+,.1f} kB{share}"
