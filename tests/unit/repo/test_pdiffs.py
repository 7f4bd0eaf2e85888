"""Patches of apt's Packages: what they say, applied by apt's own program, and their history."""

import gzip
import hashlib
import random
from pathlib import Path, PurePosixPath

import pytest

from builder.inspect.deb822 import parse_fields
from builder.repo.pdiffs import Pdiffs, make_patch, pack_unit
from builder.repo.spool import Spool

_PLACE = PurePosixPath("dists/stable/main/binary-amd64/Packages")


def _units(paragraphs: list[bytes]) -> bytes:
    return b"".join(map(pack_unit, paragraphs))


def _apply(lines: list[bytes], script: bytes) -> list[bytes]:
    """Edit lines as ed does."""
    lines = list(lines)
    commands = iter(script.splitlines(keepends=True))
    for command in commands:
        word, numbers = command[-2:-1], command[:-2].split(b",")
        first, last = int(numbers[0]), int(numbers[-1])
        added = []
        if word in b"ac":
            for line in commands:
                if line == b".\n":
                    break
                added.append(line)
        at = first if word == b"a" else first - 1
        lines[at : at if word == b"a" else last] = added
    return lines


def _text(number: int) -> bytes:
    more = b" more\n" * (number % 4)
    return b"Package: p%05d\nVersion: 1\n%s\n" % (number, more)


@pytest.mark.parametrize("seed", range(40))
def test_a_patch_makes_the_new_list_of_the_old_one(seed: int) -> None:
    chance = random.Random(seed)
    old = [_text(n) for n in sorted(chance.sample(range(60), chance.randrange(50)))]
    new = [_text(n) for n in sorted(chance.sample(range(60), chance.randrange(50)))]
    patch = make_patch(_units(old), _units(new), new.__getitem__)
    assert patch is not None
    assert b"".join(_apply(b"".join(old).splitlines(keepends=True), patch)) == b"".join(new)


def test_lists_in_another_order_have_no_patch() -> None:
    old, new = [_text(1), _text(2)], [_text(2), _text(1)]
    assert make_patch(_units(old), _units(new), new.__getitem__) is None


def test_a_list_without_a_change_has_an_empty_patch() -> None:
    same = [_text(1), _text(2)]
    assert make_patch(_units(same), _units(same), same.__getitem__) == b""


def _publish(folder: Path, pdiffs: Pdiffs, numbers: list[int]) -> tuple[Spool, list[PurePosixPath]]:
    spool = Spool(folder)
    texts = [_text(number) for number in numbers]
    spool.write(_PLACE, b"".join(texts))
    return spool, pdiffs.write(_PLACE, b"".join(map(pack_unit, texts)), texts.__getitem__, spool)


def test_each_kept_state_has_one_patch_and_no_other(tmp_path: Path) -> None:
    pdiffs = Pdiffs(tmp_path / "state", kept=2)
    states = [[1], [1, 2], [1, 2, 3], [2, 3, 4], [0, 2, 3, 4]]
    spool, index = _publish(tmp_path / "0", pdiffs, states[0])
    assert index == []
    for number, state in enumerate(states[1:], 1):
        spool, index = _publish(tmp_path / str(number), pdiffs, state)
    (place,) = index
    fields = parse_fields(spool.read(place).decode())
    present = spool.files[_PLACE]
    assert fields["sha256-current"] == f"{present.sha256} {present.size}"
    assert fields["x-patch-precedence"] == "merged"
    rows = [row.split() for row in fields["sha256-history"].split("\n")[1:]]
    former = [b"".join(map(_text, state)) for state in states[-3:-1]]
    assert [row[0] for row in rows] == [hashlib.sha256(text).hexdigest() for text in former]
    for text, (_, size, name) in zip(former, rows, strict=True):
        packed = spool.read(place.with_name(f"{name}.gz"))
        listed = [fields[f"sha256-{part}"] for part in ("patches", "download")]
        for data, found in zip((gzip.decompress(packed), packed), listed, strict=True):
            assert f"{hashlib.sha256(data).hexdigest()} {len(data)} {name}" in found
        assert len(text) == int(size)
        lines = _apply(text.splitlines(keepends=True), gzip.decompress(packed))
        assert b"".join(lines) == spool.read(_PLACE)


def test_the_same_state_again_is_no_state_of_its_own(tmp_path: Path) -> None:
    pdiffs = Pdiffs(tmp_path / "state", kept=5)
    _publish(tmp_path / "0", pdiffs, [1])
    first, (place,) = _publish(tmp_path / "1", pdiffs, [1, 2])
    again, _ = _publish(tmp_path / "2", pdiffs, [1, 2])
    assert again.read(place) == first.read(place)


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "other", "delete"])
def test_a_damaged_history_begins_anew(tmp_path: Path, harm: str) -> None:
    pdiffs = Pdiffs(tmp_path / "state", kept=5)
    _publish(tmp_path / "0", pdiffs, [1])
    (file,) = (tmp_path / "state").iterdir()
    data = file.read_bytes()
    if harm == "delete":
        file.unlink()
    else:
        flipped = data[:-1] + bytes([data[-1] ^ 1])
        file.write_bytes(
            {"flip": flipped, "cut": data[:-3], "empty": b"", "other": b'{"format": 1}\n'}[harm]
        )
    _, index = _publish(tmp_path / "1", pdiffs, [1, 2])
    assert index == []
    _, index = _publish(tmp_path / "2", pdiffs, [1, 2, 3])
    assert len(index) == 1
