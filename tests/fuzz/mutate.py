"""Mutates bytes as careless tools, broken disks and attackers do."""

from collections.abc import Callable, Sequence
from random import Random

from hypothesis import strategies as st

# What has broken readers before.
_NASTY: Sequence[bytes] = (
    b"\0",
    b"\n",
    b"\r\n",
    b"\x0c",
    b"\x1a",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    "\u2028".encode(),
    "\u0085".encode(),
    "\u202e".encode(),
    "\u0660".encode(),
    b"nan",
    b"-inf",
    b"1e999",
    b"-1",
    b"99999999999999999999",
    b"9" * 5000,
    b"0x" + b"f" * 5000,
    b"[" * 3000,
    b"{a=" * 500,
    b"../" * 20,
    b"/etc/passwd",
    b"n" * 300,
    b"$(id)",
    b"%s%n",
    b"'\"\\",
    b"1979-05-27T07:32:60Z",
    b"9999-99-99",
)


def seeds() -> st.SearchStrategy[Random]:
    """Sources of chance, each repeatable."""
    return st.integers(0, 2**64 - 1).map(Random)


def nasty(chance: Random) -> bytes:
    """Something that has broken readers before."""
    return chance.choice(_NASTY)


def mutate(data: bytes, chance: Random, *, most: int = 6) -> bytes:
    """``data`` with one to ``most`` changes."""
    for _ in range(chance.randint(1, most)):
        data = chance.choice(_CHANGES)(data, chance)
    return data


def _place(data: bytes, chance: Random) -> int:
    return chance.randint(0, len(data))


def _flip(data: bytes, chance: Random) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _overwrite(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    new = chance.choice(_NASTY)[:16]
    return data[:at] + new + data[at + len(new) :]


def _insert(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + chance.choice(_NASTY) + data[at:]


def _cut(data: bytes, chance: Random) -> bytes:
    return data[: _place(data, chance)]


def _drop(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + data[at + chance.randint(1, 40) :]


def _double(data: bytes, chance: Random) -> bytes:
    at, size = _place(data, chance), chance.randint(1, 200)
    return data[: at + size] + data[at:]


def _token(data: bytes, chance: Random) -> bytes:
    """A word of a text in place of all of its value."""
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    key, sign, _ = lines[at].partition(b"=" if b"=" in lines[at] else b":")
    lines[at] = key + sign + b" " + chance.choice(_NASTY)
    return b"\n".join(lines)


def _swap(data: bytes, chance: Random) -> bytes:
    lines = data.split(b"\n")
    left, right = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[left], lines[right] = lines[right], lines[left]
    return b"\n".join(lines)


_CHANGES: Sequence[Callable[[bytes, Random], bytes]] = (
    _flip,
    _overwrite,
    _insert,
    _cut,
    _drop,
    _double,
    _token,
    _token,
    _swap,
)
