"""The order of versions in dpkg and rpm, by which ``prune`` finds the newest. Pure."""

import functools
import re
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from builder.base.model import PackageFormat

_DIGITS_AND_REST = re.compile(r"([^0-9]*)([0-9]*)")
_SEGMENT = re.compile(r"[0-9]+|[a-zA-Z]+|~|\^")


def compare_deb(left: str, right: str) -> int:
    """Return a negative number, zero or a positive one, as dpkg orders the two (deb-version(7))."""
    return _first_difference(_split(left), _split(right), _compare_deb_part)


def _split(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return (epoch, upstream, revision) if dash else (epoch, rest, "")


def _compare_deb_part(left: str, right: str) -> int:
    pairs = zip_longest(
        _DIGITS_AND_REST.findall(left), _DIGITS_AND_REST.findall(right), fillvalue=("", "")
    )
    for (words, number), (other_words, other_number) in pairs:
        key, other_key = _deb_key(words), _deb_key(other_words)
        if key != other_key:
            return -1 if key < other_key else 1
        difference = _compare_digits(number, other_number)
        if difference:
            return difference
    return 0


def _compare_digits(left: str, right: str) -> int:
    """Compare numbers of any length: int() refuses more than 4,300 digits."""
    left, right = left.lstrip("0"), right.lstrip("0")
    difference = len(left) - len(right)
    return difference or (left > right) - (left < right)


def _deb_key(text: str) -> list[int]:
    """Return a key that sorts a tilde first, then the end, then letters, then all else."""
    # The closing zero is the end of the part.
    return [_deb_weight(sign) for sign in text] + [0]


def _deb_weight(sign: str) -> int:
    if sign == "~":
        return -1
    return ord(sign) if sign.isalpha() else ord(sign) + 256


def compare_rpm(left: str, right: str) -> int:
    """Return a negative number, zero or a positive one, as rpm orders the two (rpm-version(7))."""
    return _first_difference(_split(left), _split(right), _compare_rpm_part)


def _compare_rpm_part(left: str, right: str) -> int:
    for segment, other in zip_longest(
        _SEGMENT.findall(left), _SEGMENT.findall(right), fillvalue=""
    ):
        if segment == other:
            continue
        difference = _rpm_rank(segment) - _rpm_rank(other)
        if difference:
            return difference
        if segment.isdigit():
            difference = _compare_digits(segment, other)
            if difference:
                return difference
            continue
        return -1 if segment < other else 1
    return 0


def _rpm_rank(segment: str) -> int:
    """Rank a segment: a tilde first, then the end, then a caret, then letters, then numbers."""
    if segment in ("~", "", "^"):
        return {"~": 0, "": 1, "^": 2}[segment]
    return 4 if segment.isdigit() else 3


def _first_difference(
    left: tuple[str, str, str], right: tuple[str, str, str], compare: Callable[[str, str], int]
) -> int:
    for part, other in zip(left, right, strict=True):
        result = compare(part, other)
        if result:
            return result
    return 0


_KEYS = {
    PackageFormat.DEB: functools.cmp_to_key(compare_deb),
    PackageFormat.RPM: functools.cmp_to_key(compare_rpm),
}


def version_key(fmt: PackageFormat, version: str) -> Any:
    """Return a key that sorts versions as the format's own tools do."""
    return _KEYS[fmt](version)
