"""The guide's table of distributions says what the records say."""

import re

import pytest

from builder.base.paths import PROJECT
from builder.verify.distributions import DISTRIBUTIONS_FILE, load_distributions
from builder.verify.provides import load_record

GUIDE = PROJECT / "docs/guides/add-a-distribution.md"
NAMES = [distribution.name for distribution in load_distributions(DISTRIBUTIONS_FILE)]


def rows() -> dict[str, str]:
    """The last column by distribution."""
    text = GUIDE.read_text(encoding="utf-8").partition("| recorded |")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    for line in text.splitlines():
        cells = line.strip("| ").split(" | ")
        found |= dict.fromkeys(re.findall(r"`([^` ]+)`", cells[0]), cells[-1])
    return found


def test_each_distribution_has_a_row() -> None:
    assert sorted(rows()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_has_the_day_and_the_source_of_the_record(name: str) -> None:
    record = load_record(name)
    source = "memory" if "memory" in record.source else "package list"
    assert rows()[name] == f"{record.recorded}, {source}"
