"""Wheels whose bytes follow from their content: order, modes, times, RECORD."""

import zipfile
from pathlib import Path

import pytest

from builder.base.errors import PayloadError
from builder.wheels.normal import differing_files, normalise_wheel

INFO = "own-1.0.dist-info"
EPOCH = 1767312000


def write(path: Path, *members: tuple[str, bytes, int], level: int = 6) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, content, mode in members:
            member = zipfile.ZipInfo(name, (2000 + level, 1, 1, 0, 0, 0))
            member.external_attr = mode << 16
            archive.writestr(member, content)
    return path


def normalised(wheel: Path) -> bytes:
    target = wheel.with_suffix(".normal")
    normalise_wheel(wheel, target, epoch=EPOCH)
    return target.read_bytes()


CODE = ("own/__init__.py", b"X = 1\n", 0o100644)
TOOL = ("own/tool.sh", b"#!/bin/sh\n", 0o100755)
RECORD = (f"{INFO}/RECORD", b"not,true,1\n", 0o100664)


def test_order_modes_times_and_compression_leave_no_trace(tmp_path: Path) -> None:
    first = write(tmp_path / "a.whl", CODE, TOOL, RECORD)
    closed = [(name, content, mode & 0o100750) for name, content, mode in (RECORD, TOOL, CODE)]
    second = write(tmp_path / "b.whl", ("own/", b"", 0o40755), *closed, level=9)
    assert first.read_bytes() != second.read_bytes()
    assert normalised(first) == normalised(second)


def test_programs_stay_programs_and_record_is_true(tmp_path: Path) -> None:
    wheel = write(tmp_path / "a.whl", RECORD, TOOL, CODE)
    normalise_wheel(wheel, tmp_path / "made.whl", epoch=EPOCH)
    with zipfile.ZipFile(tmp_path / "made.whl") as archive:
        modes = {i.filename: i.external_attr >> 16 for i in archive.infolist()}
        assert {i.date_time for i in archive.infolist()} == {(2026, 1, 2, 0, 0, 0)}
        rows = archive.read(f"{INFO}/RECORD").decode().splitlines()
    assert list(modes) == ["own/__init__.py", "own/tool.sh", f"{INFO}/RECORD"]
    assert modes["own/tool.sh"] == 0o100755
    assert modes["own/__init__.py"] == modes[f"{INFO}/RECORD"] == 0o100644
    # By hand: printf 'X = 1\n' | openssl sha256 -binary | basenc --base64url
    assert rows[0] == "own/__init__.py,sha256=Crrh4K5yghbuRJk8Wjp1X4scOH2Uf8TE9yyrDkqEIUs,6"
    assert rows[-1] == f"{INFO}/RECORD,,"


def test_an_archive_of_before_1980_gets_the_first_year_that_a_zip_has(tmp_path: Path) -> None:
    normalise_wheel(write(tmp_path / "a.whl", CODE, RECORD), tmp_path / "made.whl", epoch=0)
    with zipfile.ZipFile(tmp_path / "made.whl") as archive:
        assert archive.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_wheel_with_a_name_twice_or_without_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PayloadError, match=r"a\.whl: has own/__init__\.py twice"):
        normalised(write(tmp_path / "a.whl", CODE, CODE, RECORD))
    with pytest.raises(PayloadError, match="has no RECORD"):
        normalised(write(tmp_path / "b.whl", CODE))


def test_what_differs_is_named(tmp_path: Path) -> None:
    first = write(tmp_path / "a.whl", CODE, TOOL, RECORD)
    (name, content, _) = TOOL
    second = write(tmp_path / "b.whl", ("own/__init__.py", b"X = 2\n", 0o644), RECORD)
    third = write(tmp_path / "c.whl", CODE, (name, content, 0o644), RECORD)
    assert differing_files(first, second) == ["own/__init__.py", "own/tool.sh"]
    assert differing_files(first, third) == ["own/tool.sh"]
    assert differing_files(first, first) == []
