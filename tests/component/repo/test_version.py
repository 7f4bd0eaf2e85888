"""Versions in the order of dpkg and rpm; the pairs were checked with both tools."""

import itertools
import shutil

import pytest

from builder.base.run import run
from builder.repo.version import compare_deb, compare_rpm

_DEB = [
    "0.9",
    "1.0~~dev1-1",
    "1.0~a1-1",
    "1.0~rc1-1",
    "1.0~rc1-2",
    "1.0~rc2-1",
    "1.0~rc10-1",
    "1.0-1",
    "1.0-1+b1",
    "1.0-1.1",
    "1.0-2",
    "1.0-10",
    "1.0a-1",
    "1.0+post1-1",
    "1.0.1-1",
    "1.2-1",
    "1.10-1",
    "26.9.6-1",
    "1:0.1-1",
    "2:0.1",
]
_RPM = [
    "0.9-1",
    "1.0~~dev1-1",
    "1.0~rc1-1",
    "1.0~rc1-2",
    "1.0~rc10-1",
    "1.0-1",
    "1.0-2",
    "1.0-10",
    "1.0^git1-1",
    "1.0a-1",
    "1.0.a-2",
    "1.0.1-1",
    "1.2-1",
    "1.10-1",
    "26.9.6-1",
    "1:0.1-1",
]


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


@pytest.mark.parametrize(("versions", "compare"), [(_DEB, compare_deb), (_RPM, compare_rpm)])
def test_each_pair(versions: list[str], compare: object) -> None:
    assert callable(compare)
    for (i, left), (j, right) in itertools.product(enumerate(versions), repeat=2):
        assert _sign(compare(left, right)) == _sign(i - j), (left, right)


def test_equal_though_written_otherwise() -> None:
    assert compare_deb("1.0-1", "0:1.0-1") == 0
    assert compare_deb("1.00-1", "1.0-1") == 0
    assert compare_rpm("1.0-1", "0:1_0-1") == 0


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not here")
def test_dpkg_agrees() -> None:
    for left, right in itertools.pairwise(_DEB):
        assert run(["dpkg", "--compare-versions", left, "lt", right]).status == 0
