"""Versions sort in a database as they do by their keys."""

import itertools
import random

import pytest

from builder.base.model import PackageFormat
from builder.repo.version import version_bytes, version_key

_WORDS = ("0", "1", "9", "10", "00", "a", "ab", "z", ".", "+", "~", "^", "-", ":")


@pytest.mark.parametrize("fmt", PackageFormat)
def test_bytes_sort_as_keys_do(fmt: PackageFormat) -> None:
    dice = random.Random(1)
    versions = ["".join(dice.choices(_WORDS, k=dice.randrange(7))) for _ in range(3000)]
    by_key = sorted(versions, key=lambda version: version_key(fmt, version))
    by_bytes = sorted(versions, key=lambda version: version_bytes(fmt, version))
    assert by_bytes == by_key
    for left, right in itertools.pairwise(by_key):
        same = version_key(fmt, left) == version_key(fmt, right)
        assert same == (version_bytes(fmt, left) == version_bytes(fmt, right)), (left, right)
