"""Draws the results as an SVG of horizontal bars, and writes them as tables for the docs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

_WIDTH, _LABEL, _BAR, _STEP = 760, 330, 14, 22
_COLOURS = ("#2f6f9f", "#b9c7d3")


def draw(title: str, unit: str, bars: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Return an SVG with one group of bars a row; each value of a group has its colour."""
    most = max((value for _, values in bars for value in values), default=1) or 1
    scale = (_WIDTH - _LABEL - 90) / most
    lines = list(_bars(bars, unit, scale))
    height = 40 + sum(_STEP * len(values) + 6 for _, values in bars)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12" role="img" '
        f'aria-label="{escape(title)}">'
    )
    ground = f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
    name = f'<text x="8" y="20" font-size="14" font-weight="bold">{escape(title)}</text>'
    return "\n".join([head, ground, name, *lines, "</svg>", ""])


def _bars(bars: Sequence[tuple[str, Sequence[float]]], unit: str, scale: float) -> Iterator[str]:
    top = 36
    for label, values in bars:
        middle = top + _STEP * len(values) / 2
        yield f'<text x="{_LABEL - 8}" y="{middle}" text-anchor="end">{escape(label)}</text>'
        for value, colour in zip(values, _COLOURS, strict=False):
            width = max(1.0, value * scale)
            yield (
                f'<rect x="{_LABEL}" y="{top}" width="{width:.1f}" height="{_BAR}" '
                f'fill="{colour}"/>'
            )
            yield f'<text x="{_LABEL + width + 6:.1f}" y="{top + 11}">{value:,.1f} {unit}</text>'
            top += _STEP
        top += 6


def draw_times(results: Mapping[str, Any]) -> str:
    """Return the chart of all rows that took a time."""
    bars = [(row["name"], (row["seconds"],)) for row in results["rows"] if row["seconds"]]
    return draw("The family of services, warm downloads", "s", bars)


def draw_sizes(results: Mapping[str, Any]) -> str:
    """Return the chart of the packages' sizes, the former layout below each."""
    bars = [
        (
            size["package"],
            [size["packed_bytes"] / 1e6, *_former(size["former_packed_bytes"] / 1e6)],
        )
        for size in results["sizes"]
    ]
    return draw("Size of the debs, and of those of the former layout", "MB", bars)


def _former(value: float) -> list[float]:
    return [value] if value else []


def write_page(results: Mapping[str, Any]) -> str:
    """Return the page of the docs."""
    facts = results["machine"]
    lines = [
        "# What a build costs",
        "",
        "Made by `make bench ARGS=--docs`; the numbers are in [bench.json](bench.json).",
        f"One run on one machine: {facts['processors']} processors, {facts['memory_gb']:.0f} GB,",
        f"load {facts['load_before']:.1f} before and {facts['load_after']:.1f} after it.",
        "Seconds do not travel between machines; ratios to the floor of the same run do.",
        "",
        "![phases and peers](bench-times.svg)",
        "",
        "| what | seconds | of the floor | peak MB |",
        "|---|---:|---:|---:|",
        *(_time_row(row, results["floor_seconds"]) for row in results["rows"]),
        "",
        "![sizes](bench-sizes.svg)",
        "",
        "| package | deb MB | installed MB | files | former deb MB | MB | files |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(_size_row(size) for size in [*results["sizes"], _sum(results["sizes"])]),
        "",
    ]
    return "\n".join(lines)


def _time_row(row: Mapping[str, Any], floor: float) -> str:
    name = row["name"] + (f" ({row['note']})" if row["note"] else "")
    name = name.replace("|", "\\|")  # a cell of the table ends there
    if not row["seconds"]:
        return f"| {name} | - | - | - |"
    peak = f"{row['peak_bytes'] / 1e6:.0f}" if row["peak_bytes"] else "-"
    return f"| {name} | {row['seconds']:.1f} | {row['seconds'] / floor:.1f} x | {peak} |"


def _sum(sizes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = [name for name in sizes[0] if name != "package"]
    return {"package": "sum", **{name: sum(size[name] for size in sizes) for name in names}}


def _size_row(size: Mapping[str, Any]) -> str:
    cells = [size["package"]]
    for before in ("", "former_"):
        packed, installed = size[f"{before}packed_bytes"], size[f"{before}installed_bytes"]
        files = size[f"{before}files"]
        known = (f"{packed / 1e6:.1f}", f"{installed / 1e6:.0f}", f"{files:,}")
        cells += known if files else ("-", "-", "-")
    return f"| {' | '.join(cells)} |"
