"""The order of versions in dpkg and rpm, by which ``prune`` finds the newest. Pure."""

import heapq
import re
from functools import lru_cache
from typing import Any, Generic, TypeVar

from builder.base.model import PackageFormat

Key = tuple[Any, ...]
_Held = TypeVar("_Held")
_WORDS = re.compile(r"([^0-9]*)([0-9]*)")
_WEIGHT = 4  # bytes of a number in a key
_SEGMENT = re.compile(r"[0-9]+|[a-zA-Z]+|~|\^")


class Newest(Generic[_Held]):
    """Holds so many of the newest versions; of equal ones the first that was added."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[Key, int, _Held]] = []
        self.count = 0  # of all that were added

    def add(self, key: Key, version: _Held) -> None:
        """Add a version with the key that sorts it."""
        row = (key, -self.count, version)  # no two have the same number
        self.count += 1
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, row)
        else:
            heapq.heappushpop(self._heap, row)

    @property
    def held(self) -> tuple[_Held, ...]:
        """The newest versions, the newest first."""
        return tuple(version for _, _, version in sorted(self._heap, reverse=True))


def compare_deb(left: str, right: str) -> int:
    """Return a negative number, zero or a positive one, as dpkg orders the two (deb-version(7))."""
    return _compare(deb_key(left), deb_key(right))


def compare_rpm(left: str, right: str) -> int:
    """Return a negative number, zero or a positive one, as rpm orders the two (rpm-version(7))."""
    return _compare(rpm_key(left), rpm_key(right))


def _compare(left: Key, right: Key) -> int:
    return (left > right) - (left < right)


def deb_key(version: str) -> Key:
    """Return a key that sorts versions as dpkg does."""
    return tuple(_deb_part(part) for part in _split(version))


def _split(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return (epoch, upstream, revision) if dash else (epoch, rest, "")


def _deb_part(text: str) -> Key:
    """Return pairs of words and number; the end sorts as an empty pair does, after a tilde."""
    pairs = [(_deb_words(words), _number(digits)) for words, digits in _WORDS.findall(text)]
    while pairs and pairs[-1] == _NOTHING:
        pairs.pop()
    # Twice: a version may begin with an empty pair, such as 0~1, which is not its end.
    return (*pairs, _NOTHING, _NOTHING)


@lru_cache(maxsize=1 << 10)  # versions have few, and repositories many versions
def _deb_words(text: str) -> Key:
    """Return a key that sorts a tilde first, then the end, then letters, then all else."""
    # The closing zero is the end of the part.
    return (*map(_deb_weight, text), 0)


def _deb_weight(sign: str) -> int:
    if sign == "~":
        return -1
    return ord(sign) if sign.isalpha() else ord(sign) + 256


@lru_cache(maxsize=1 << 10)
def _number(digits: str) -> tuple[int, str]:
    """Return a key for a number of any length: int() refuses more than 4,300 digits."""
    plain = digits.lstrip("0")
    return len(plain), plain


_NOTHING = ((0,), (0, ""))


def rpm_key(version: str) -> Key:
    """Return a key that sorts versions as rpm does."""
    return tuple(_rpm_part(part) for part in _split(version))


def _rpm_part(text: str) -> Key:
    """Rank segments: a tilde first, then the end, then a caret, then letters, then numbers."""
    return (*map(_rpm_segment, _SEGMENT.findall(text)), (1,))


def _rpm_segment(segment: str) -> Key:
    if segment in ("~", "^"):
        return ({"~": 0, "^": 2}[segment],)
    return (4, *_number(segment)) if segment.isdigit() else (3, segment)


def version_bytes(fmt: PackageFormat, version: str) -> bytes:
    """Return bytes that sort as the keys of :func:`version_key` do: a database can sort by them."""
    return _bytes(version_key(fmt, version))


def _bytes(key: Key | int | str) -> bytes:
    # No key of a part begins another one: so what follows it does not matter.
    match key:
        case int():
            return (key + 1).to_bytes(_WEIGHT, "big")  # -1 is the least
        case str():
            return key.encode() + b"\0"
    return b"".join(map(_bytes, key))


_KEYS = {PackageFormat.DEB: deb_key, PackageFormat.RPM: rpm_key}


def version_key(fmt: PackageFormat, version: str) -> Key:
    """Return a key that sorts versions as the format's own tools do."""
    return _KEYS[fmt](version)
