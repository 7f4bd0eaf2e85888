"""``make bench``: builds the family from warm downloads, beside other tools and the floor.

With ``--docs`` the results, their tables and charts are written into ``docs/reference/``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from builder.base.paths import PROJECT, cache_root
from tests.bench.chart import draw_sizes, draw_times, write_page
from tests.bench.family import Row, measure_family
from tests.bench.sizes import read_sizes

_DOCS = PROJECT / "docs/reference"
_FORMER = "BUILDER_FORMER_DIST"
_FLOOR = "tar | zstd"


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--docs", action="store_true", help="write page and charts into docs/")
    parser.add_argument(
        "--former",
        type=Path,
        default=os.environ.get(_FORMER),
        help=f"packages of a former layout, for the table of sizes; or {_FORMER}",
    )
    options = parser.parse_args()
    results = run(Path(options.former) if options.former else None)
    if options.docs:
        write_docs(results, _DOCS)
    if options.json:
        json.dump(results, sys.stdout, indent=2)
    else:
        _print(results)


def run(former: Path | None) -> dict[str, Any]:
    """Measure all in one run."""
    load = os.getloadavg()[0]
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="bench-") as work:
        rows = [asdict(_seen(row)) for row in measure_family(Path(work))]
        sizes = [asdict(size) for size in read_sizes(Path(work) / "out", former)]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "machine": {
            "processors": os.cpu_count(),
            "memory_gb": memory / 1e9,
            "load_before": load,
            "load_after": os.getloadavg()[0],
        },
        "floor_seconds": next(row["seconds"] for row in rows if row["name"].startswith(_FLOOR)),
        "rows": rows,
        "sizes": sizes,
    }


def _seen(row: Row) -> Row:
    """Print a row as soon as it is there: a run takes long, and may be ended early."""
    peak = f", peak {row.peak_bytes / 1e6:.0f} MB" if row.peak_bytes else ""
    text = f"{row.seconds:.1f} s{peak}" if row.seconds else row.note
    sys.stderr.write(f"{row.name}: {text}\n")
    return row


def write_docs(results: dict[str, Any], folder: Path) -> None:
    """Write results, page and charts."""
    texts = {
        "bench.json": json.dumps(results, indent=2) + "\n",
        "bench.md": write_page(results),
        "bench-times.svg": draw_times(results),
        "bench-sizes.svg": draw_sizes(results),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _print(results: dict[str, Any]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("what", no_wrap=True)
    for name in ("wall s", "of the floor", "peak MB"):
        table.add_column(name, justify="right")
    for row in results["rows"]:
        known = row["seconds"] > 0
        peak = f"{row['peak_bytes'] / 1e6:.0f}" if row["peak_bytes"] else "-"
        ratio = f"{row['seconds'] / results['floor_seconds']:.1f} x"
        cells = (f"{row['seconds']:.2f}", ratio, peak) if known else (row["note"], "", "")
        table.add_row(row["name"], *cells)
    console = Console()
    console.print(table)
    packed, former = (
        sum(size[name] for size in results["sizes"]) / 1e6
        for name in ("packed_bytes", "former_packed_bytes")
    )
    beside = f", {former:.1f} MB before" if former else ""
    console.print(f"debs of the family: {packed:.1f} MB{beside}")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {error}")
