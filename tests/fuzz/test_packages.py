"""Debs, rpms and tars that are mutated, cut or hostile inside: read, or an error of ours."""

import gzip
import lzma
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import zstandard
from hypothesis import given

from builder.base.errors import BuilderError
from builder.inspect import inspect_package
from builder.inspect.deb822 import decode, encode, split_fields
from builder.inspect.streams import DamagedError
from builder.net.extract import extract_tar
from builder.repo.deb_package import control_paragraph, read_deb_package
from builder.repo.model import pool_path
from builder.repo.repodata import read_rpm_package
from tests.fuzz.mutate import mutate, seeds
from tests.helpers.package_files import (
    COMPRESS,
    SUFFIX,
    DebFile,
    Payload,
    RpmFile,
    make_ar,
    make_tar,
)

_CONTROL = """\
Package: app
Version: 1:2.0~rc1-3
Architecture: all
Maintainer: A B <ab@example.org>
Depends: libc6 (>= 2.17), app-common
Conflicts: other
Installed-Size: 12
Description: an application
 of two lines
 .
 and more
"""
_SITE = "/opt/app/lib/python3.13/site-packages"
_PAYLOAD = (
    Payload(path="/opt", mode=0o040755),
    Payload(path="/opt/app/run", content=b"#!/bin/sh\n", mode=0o100755),
    Payload(path="/etc/app.conf", content=b"a = 1\n", config=True),
    Payload(path="/usr/bin/app", content=b"/opt/app/run", mode=0o120777),
    Payload(path=f"{_SITE}/lib-1.0.dist-info/RECORD", content=b"lib/a.py,sha256=x,1\n"),
    Payload(path="/usr/share/doc/app/build-info.json", content=b'{"release": "1", "wheels": []}'),
    Payload(path="/usr/share/doc/app/copyright", content=b"Files: *\nLicense: MIT\n"),
)
_COMPRESSIONS = tuple(COMPRESS)


def _deb(chance: Random) -> bytes:
    """A deb in which one layer is damaged: control file, tar, payload or the whole file."""
    compression = chance.choice(_COMPRESSIONS)
    layer = chance.randrange(4)
    control, data = _CONTROL.encode(), make_tar(_payload(chance) if layer == 0 else _PAYLOAD)
    if layer == 1:
        control = mutate(control, chance)
    parts = [Payload(path="/control", content=control), Payload(path="/conffiles", content=b"/a\n")]
    tar = make_tar(parts)
    if layer == 2 and chance.random() < 0.5:
        tar = mutate(tar, chance)
    elif layer == 2:
        data = mutate(data, chance)
    whole = make_ar(
        [
            ("debian-binary", b"2.0\n"),
            ("control.tar.gz", gzip.compress(tar, 1, mtime=0)),
            (f"data.tar{SUFFIX[compression]}", COMPRESS[compression](data)),
        ]
    )
    return mutate(whole, chance) if layer == 3 else whole


def _payload(chance: Random) -> Sequence[Payload]:
    """The payload with one file's content, or name, changed."""
    listed = list(_PAYLOAD)
    at = chance.randrange(len(listed))
    entry = listed[at]
    if chance.random() < 0.7 and entry.mode & 0o170000 == 0o100000:
        changed = Payload(path=entry.path, content=mutate(entry.content, chance), mode=entry.mode)
    else:
        path = decode(mutate(encode(entry.path), chance)).replace("\0", "") or "/x"
        content = b"" if entry.mode & 0o170000 == 0o040000 else entry.content
        try:
            path.encode()
        except UnicodeEncodeError:
            path = "/x"
        changed = Payload(path=f"/{path}", content=content, mode=entry.mode)
    listed[at] = changed
    return listed


def _check_deb(path: Path) -> None:
    parsed = read_deb_package(path)
    place = pool_path("main", parsed.identity)
    assert ".." not in place.parts
    assert not place.is_absolute()
    paragraph = control_paragraph(inspect_package(path).contents.control)
    # What a client reads out of the index is what the package says, field by field.
    again = [field.key for field in split_fields(paragraph)]
    assert len(again) == len(set(again))
    assert not any(not line.strip(" \t\r\f\v") for line in paragraph.split("\n")[:-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for one file."""
    return tmp_path_factory.mktemp("fuzz")


@given(chance=seeds())
def test_debs(folder: Path, chance: Random) -> None:
    path = folder / "a.deb"
    path.write_bytes(_deb(chance))
    with suppress(BuilderError):
        _check_deb(path)


def _rpm(chance: Random) -> bytes:
    digests = chance.random() < 0.3
    stripped = chance.random() < 0.2
    extra: dict[int, tuple[int, str | Sequence[str] | Sequence[int]]] = {}
    if chance.random() < 0.5:
        text = decode(mutate(b"some text", chance)).replace("\0", "").encode("utf-8", "replace")
        tag = chance.choice([1000, 1001, 1002, 1022, 1125, 1124, 1014, 1020])
        extra[tag] = (6, text.decode())
    if chance.random() < 0.3:
        tag = chance.choice([1028, 1030, 1037, 1116, 1003, 1009, 5093])
        extra[tag] = (
            4,
            [chance.choice([0, 1, 7, 2**31, 2**32 - 1]) for _ in range(chance.randint(1, 8))],
        )
    payload = () if chance.random() < 0.2 else _PAYLOAD
    compression = chance.choice(_COMPRESSIONS)
    whole = RpmFile(
        name="app",
        version="2.0~rc1",
        payload=payload,
        compression=compression,
        stripped=stripped,
        digests=digests,
        extra=extra,
    ).build()
    return mutate(whole, chance) if chance.random() < 0.7 else whole


@given(chance=seeds())
def test_rpms(folder: Path, chance: Random) -> None:
    path = folder / "a.rpm"
    path.write_bytes(_rpm(chance))
    try:
        parsed = read_rpm_package(path)
        place = pool_path("main", parsed.identity)
    except BuilderError:
        return
    assert ".." not in place.parts
    assert parsed.name
    encode(parsed.record.primary)  # type: ignore[union-attr]


_PACKERS: Sequence[Callable[[bytes], bytes]] = (
    lambda data: data,
    lambda data: gzip.compress(data, 1, mtime=0),
    lambda data: lzma.compress(data, preset=0),
    lambda data: zstandard.ZstdCompressor().compress(data),
)


@given(chance=seeds())
def test_tars(folder: Path, chance: Random) -> None:
    inside = mutate(make_tar(_payload(chance)), chance)
    packed = chance.choice(_PACKERS)(inside)
    if chance.random() < 0.3:
        packed = mutate(packed, chance)
    archive = folder / "a.tar"
    archive.write_bytes(packed)
    target = folder / "out" / "tree"
    try:
        extract_tar(archive, target, max_bytes=1 << 20, max_members=100)
    except BuilderError:
        assert not target.exists()
    else:
        for path in target.rglob("*"):
            assert path.resolve().is_relative_to(target.resolve())
        shutil.rmtree(target)
    assert {path.name for path in folder.iterdir()} <= {"a.deb", "a.rpm", "a.tar", "out"}


@given(chance=seeds())
def test_control_files(chance: Random) -> None:
    data = mutate(_CONTROL.encode(), chance)
    text = decode(data)
    assert encode(text) == data
    try:
        paragraph = control_paragraph(text)
    except DamagedError:
        return
    assert encode(paragraph).decode("utf-8", "surrogateescape") == paragraph


def test_a_whole_package_is_read(folder: Path) -> None:
    path = folder / "a.deb"
    path.write_bytes(DebFile(control=_CONTROL, payload=_PAYLOAD).build())
    _check_deb(path)
    rpm = folder / "a.rpm"
    rpm.write_bytes(RpmFile(name="app", version="2.0", payload=_PAYLOAD).build())
    assert read_rpm_package(rpm).version == "2.0-1"
