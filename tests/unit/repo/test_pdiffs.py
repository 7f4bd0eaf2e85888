"""Patches of apt's Packages: what they say, applied by apt's own program, and their history."""

import gzip
import hashlib
import random
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pytest

from builder.base.errors import BuilderError
from builder.base.run import find_tool, run
from builder.inspect.deb822 import parse_fields
from builder.repo import apt as apt_module
from builder.repo.check import check_target
from builder.repo.core import Repository
from builder.repo.indexing import build_tree
from builder.repo.model import LOCAL
from builder.repo.pdiffs import Pdiffs, make_patch, pack_unit
from builder.repo.sign import Signer
from builder.repo.spool import Spool
from tests.helpers.repos import NOW, DebPackage, add

_HOUR = timedelta(hours=1)
_PLACE = PurePosixPath("dists/stable/main/binary-amd64/Packages")
_RRED = Path("/usr/lib/apt/methods/rred")


def _units(paragraphs: list[bytes]) -> list[tuple[bytes, int]]:
    return [(hashlib.sha256(text).digest()[:8], text.count(b"\n")) for text in paragraphs]


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


def test_a_published_list_has_patches_that_apts_program_applies(
    signed_repository: Repository,
    signer: Signer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apt_module, "_PATCHED_FROM", 0)
    repository = signed_repository
    lists = []
    for number in range(3):
        versions = (f"1.{number}-1", f"0.{number}-1", f"2.{9 - number}-1")
        for version in versions:
            add(repository, DebPackage(version=version).write(tmp_path))
        build_tree(repository, signer, NOW + number * _HOUR)
        lists.append((repository.public / _PLACE).read_bytes())
        errors = [p.text for p in check_target(repository, LOCAL, NOW) if p.is_error]
        assert errors == []
    folder = repository.public / f"{_PLACE}.diff"
    release = (repository.public / "dists/stable/Release").read_text()
    assert "main/binary-amd64/Packages.diff/Index\n" in release
    try:
        tool = find_tool(str(_RRED), hint="")
    except BuilderError as error:
        pytest.skip(error.message)
    for text in lists[:-1]:
        name = hashlib.sha256(text).hexdigest()[:16]
        present = hashlib.sha256(lists[-1]).hexdigest()[:16]
        patch = folder / f"T-{present}-F-{name}.gz"
        (tmp_path / "old").write_bytes(text)
        (tmp_path / "patch").write_bytes(gzip.decompress(patch.read_bytes()))
        run([tool, "-t", tmp_path / "old", tmp_path / "new", tmp_path / "patch"])
        assert (tmp_path / "new").read_bytes() == lists[-1]
