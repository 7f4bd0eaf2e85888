"""Versions as dpkg and rpm order them."""

import shutil
from itertools import pairwise

import pytest
from pydantic import ValidationError

from builder.base.run import run
from builder.spec.release import ChangelogSpec, ReleaseSpec, Urgency


def release_of(version: str) -> ReleaseSpec:
    day = {"version": version, "day": "2026-01-01", "changes": ["x"]}
    table = {"name": "1", "version": version, "packages": ["a-b"], "changelog": [day]}
    return ReleaseSpec.model_validate({**table, "index-until": "2026-01-01T00:00:00Z"})


IN_ORDER = [
    ("26.9.0.dev1", "26.9.0~~dev1"),
    ("26.9.0a1.dev2", "26.9.0~a1~dev2"),
    ("26.9.0a1", "26.9.0~a1"),
    ("26.9.0b2", "26.9.0~b2"),
    ("26.9.0-rc1", "26.9.0~rc1"),
    ("26.9.0rc2", "26.9.0~rc2"),
    ("26.9.0rc10", "26.9.0~rc10"),
    ("26.9.0", "26.9.0"),
    ("26.9.0.post1", "26.9.0+post1"),
    ("26.9.1rc1", "26.9.1~rc1"),
    ("26.10.0", "26.10.0"),
]


@pytest.mark.parametrize(("upstream", "packaged"), IN_ORDER)
def test_a_version_is_spelled_for_dpkg_and_rpm(upstream: str, packaged: str) -> None:
    assert release_of(upstream).package_version == packaged


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="needs dpkg")
def test_dpkg_orders_versions_as_the_index_does() -> None:
    for earlier, later in pairwise(packaged for _, packaged in IN_ORDER):
        run(["dpkg", "--compare-versions", f"{earlier}-2", "lt", f"{later}-1"])


def test_vulnerabilities_are_lines_of_the_changelog_that_no_line_breaks() -> None:
    names = [f"CVE-2026-1000{digit}" for digit in range(6)]
    table = {"version": "1.0", "day": "2026-01-01", "changes": ["A fix."], "fixes": names}
    entry = ChangelogSpec.model_validate({**table, "urgency": "high"})
    assert entry.urgency is Urgency.HIGH
    assert entry.lines == (
        "A fix.",
        "Fixes CVE-2026-10000, CVE-2026-10001, CVE-2026-10002, CVE-2026-10003,",
        "CVE-2026-10004, CVE-2026-10005.",
    )
    with pytest.raises(ValidationError):
        ChangelogSpec.model_validate({**table, "fixes": ["aiohttp"]})
