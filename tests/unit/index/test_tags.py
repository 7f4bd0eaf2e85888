"""Which wheel of several is taken for a target, and which is never."""

import pytest

from builder.index.tags import best_wheel, is_pure

PURE = "a-1-py3-none-any.whl"
OLD_PURE = "a-1-py2.py3-none-any.whl"
ABI3 = "a-1-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
ABI3_NEWER = "a-1-cp311-abi3-manylinux_2_17_x86_64.whl"
CP313 = "a-1-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
CP313_228 = "a-1-cp313-cp313-manylinux_2_28_x86_64.whl"
CP313_234 = "a-1-cp313-cp313-manylinux_2_34_x86_64.whl"
LEGACY = "a-1-cp313-cp313-manylinux2014_x86_64.whl"
FREE_THREADED = "a-1-cp313-cp313t-manylinux_2_17_x86_64.whl"
CP312 = "a-1-cp312-cp312-manylinux_2_17_x86_64.whl"
NO_ABI = "a-1-py3-none-manylinux_2_17_x86_64.whl"
MUSL = "a-1-cp313-cp313-musllinux_1_2_x86_64.whl"
ARM = "a-1-cp313-cp313-manylinux_2_17_aarch64.whl"
MAC = "a-1-cp313-cp313-macosx_11_0_arm64.whl"
PYPY = "a-1-pp311-pypy311_pp73-manylinux_2_17_x86_64.whl"
LOCAL = "a-1-cp313-cp313-linux_x86_64.whl"


def best(*names: str, machine: str = "x86_64", python: str = "3.13") -> str | None:
    return best_wheel(names, python=python, machine=machine, glibc="2.28")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([PURE, CP313], CP313),
        ([CP313, CP313_228, CP313_234], CP313_228),
        ([CP313_234, PURE], PURE),
        ([LEGACY, PURE], LEGACY),
        ([ABI3, PURE], ABI3),
        ([ABI3, ABI3_NEWER], ABI3_NEWER),
        ([ABI3, CP313], CP313),
        ([ABI3, CP312], ABI3),
        ([NO_ABI, PURE], NO_ABI),
        ([OLD_PURE], OLD_PURE),
        ([ARM, MAC, MUSL, PYPY, FREE_THREADED, PURE], PURE),
        ([LOCAL, CP313], CP313),
        ([LOCAL], LOCAL),
    ],
)
def test_the_most_specific_wheel_that_fits_is_taken(names: list[str], expected: str) -> None:
    assert best(*names) == expected
    assert best(*reversed(names)) == expected


@pytest.mark.parametrize("name", [MUSL, ARM, MAC, PYPY, CP312, CP313_234, FREE_THREADED])
def test_a_wheel_for_another_platform_or_python_is_never_taken(name: str) -> None:
    assert best(name) is None


def test_each_architecture_gets_its_own() -> None:
    assert best(CP313, ARM, machine="aarch64") == ARM


def test_a_limited_api_wheel_of_a_newer_python_does_not_fit_an_older_one() -> None:
    assert best(ABI3_NEWER, python="3.10") is None
    assert best(ABI3, python="3.10") == ABI3


def test_a_file_that_is_no_wheel_is_passed_over() -> None:
    assert best("a-1.tar.gz", "nonsense.whl", PURE) == PURE
    assert best() is None


def test_only_wheels_for_any_platform_are_pure() -> None:
    assert is_pure(PURE)
    assert is_pure(OLD_PURE)
    assert not is_pure(NO_ABI)
    assert not is_pure(CP313)
