"""The results of ``make bench`` as a page and charts."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.bench.__main__ import write_docs
from tests.bench.chart import draw, draw_sizes, draw_times, write_page
from tests.bench.family import FAMILY
from tests.bench.sizes import read_sizes
from tests.helpers.package_files import DebFile, Payload

_SVG = "{http://www.w3.org/2000/svg}"
RESULTS: dict[str, Any] = {
    "machine": {"processors": 2, "memory_gb": 8.0, "load_before": 0.5, "load_after": 2.0},
    "floor_seconds": 2.0,
    "rows": [
        {"name": "family <all>", "seconds": 9.0, "peak_bytes": 400_000_000, "note": ""},
        {"name": "tar | zstd", "seconds": 2.0, "peak_bytes": 0, "note": ""},
        {"name": "a peer", "seconds": 0.0, "peak_bytes": 0, "note": "not installed here"},
    ],
    "sizes": [
        {
            "package": "a",
            "packed_bytes": 10_000_000,
            "installed_bytes": 30_000_000,
            "files": 1000,
            "former_packed_bytes": 20_000_000,
            "former_installed_bytes": 60_000_000,
            "former_files": 2000,
        },
        {
            "package": "b",
            "packed_bytes": 1_000_000,
            "installed_bytes": 3_000_000,
            "files": 100,
            "former_packed_bytes": 0,
            "former_installed_bytes": 0,
            "former_files": 0,
        },
    ],
}


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)  # made here
    return [element.text or "" for element in root.iter(f"{_SVG}text")]


def test_the_chart_is_xml_and_has_a_bar_for_each_value() -> None:
    svg = draw("a & b", "s", [("x < y", [1.0, 2.0]), ("z", [4.0])])
    root = ElementTree.fromstring(svg)  # made here
    ground, *bars = root.iter(f"{_SVG}rect")
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)
    assert widths[2] == pytest.approx(4 * widths[0], abs=0.3)
    assert widths[2] < float(ground.attrib["width"])
    assert texts(svg) == ["a & b", "x < y", "1.0 s", "2.0 s", "z", "4.0 s"]


def test_what_was_not_measured_is_in_the_table_and_not_in_the_chart() -> None:
    assert "a peer" not in texts(draw_times(RESULTS))
    page = write_page(RESULTS)
    assert "| a peer (not installed here) | - | - | - |" in page
    assert "| family <all> | 9.0 | 4.5 x | 400 |" in page
    assert "load 0.5 before and 2.0 after it" in page


def test_sizes_are_summed_and_a_package_without_a_former_one_says_so() -> None:
    page = write_page(RESULTS)
    assert "| a | 10.0 | 30 | 1,000 | 20.0 | 60 | 2,000 |" in page
    assert "| b | 1.0 | 3 | 100 | - | - | - |" in page
    assert "| sum | 11.0 | 33 | 1,100 | 20.0 | 60 | 2,000 |" in page
    assert texts(draw_sizes(RESULTS))[1:] == ["a", "10.0 MB", "20.0 MB", "b", "1.0 MB"]


def test_sizes_are_read_of_the_packages(tmp_path: Path) -> None:
    control = "Package: {}\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: b\n"
    name = FAMILY[0]
    made = DebFile(control=control.format(name), payload=[Payload(path="/opt/a")]).build()
    (tmp_path / f"{name}_1-1_all.deb").write_bytes(made)
    first, *others = read_sizes(tmp_path, None)
    assert (first.package, first.packed_bytes, first.files) == (name, len(made), 1)
    assert all(size.files == 0 for size in others)


def test_the_page_shows_files_that_are_written_with_it(tmp_path: Path) -> None:
    write_docs(RESULTS, tmp_path)
    written = {path.name for path in tmp_path.iterdir()}
    page = (tmp_path / "bench.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([^)]+)\)", page)) == written - {"bench.md"}
    assert json.loads((tmp_path / "bench.json").read_bytes()) == RESULTS
