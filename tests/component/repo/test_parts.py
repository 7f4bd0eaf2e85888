"""Indexes joined from kept parts: what is compressed again, and what a damaged part becomes."""

import gzip
import lzma
import subprocess
import zlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pytest
import zstandard

from builder.base.errors import BuilderError
from builder.base.run import find_tool
from builder.repo.apt import AptIndexer
from builder.repo.config import IndexCompression
from builder.repo.core import Repository
from builder.repo.joining import compress_part, open_joiner
from builder.repo.model import DebRecord, RepoPackage
from builder.repo.packages import HeldPackages, split_packages
from builder.repo.parts import Output, Parts, part_key
from builder.repo.spool import Spool
from tests.helpers.repos import NOW

_PACKAGES = PurePosixPath("dists/stable/main/binary-amd64/Packages")
_TEXTS = [b"", b"a line\n", b"Package: tool\n" * 100_000, bytes(range(256)) * 40]
_TOOLS = {"gz": "gzip", "xz": "xz", "zst": "zstd"}
_MANY = 3000  # of which several parts are made


def _join(texts: Iterable[bytes], compression: IndexCompression) -> bytes:
    parts = [compress_part([text], compression) for text in texts]
    whole, joiner = b"".join(texts), open_joiner(compression)
    middle = b"".join(map(joiner.add, parts))
    return joiner.begin() + middle + joiner.end(zlib.crc32(whole), len(whole))


def _read(data: bytes, compression: IndexCompression) -> bytes:
    match compression:
        case IndexCompression.GZIP:
            return gzip.decompress(data)
        case IndexCompression.XZ:
            return lzma.decompress(data)
        case IndexCompression.ZSTD:
            reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
            return reader.read()


@pytest.mark.parametrize("compression", IndexCompression)
@pytest.mark.parametrize("texts", [_TEXTS, _TEXTS[:1], []], ids=["many", "empty", "none"])
def test_joined_parts_are_one_file_to_every_reader(
    compression: IndexCompression, texts: list[bytes]
) -> None:
    joined = _join(texts, compression)
    whole = b"".join(texts)
    assert _read(joined, compression) == whole
    try:
        tool = find_tool(_TOOLS[compression], hint="")
    except BuilderError as error:
        pytest.skip(error.message)
    done = subprocess.run([tool, "-dc"], input=joined, capture_output=True, check=True)  # noqa: TID251
    assert done.stdout == whole


def test_a_gzip_join_is_one_member_and_an_xz_join_one_stream() -> None:
    """apt reads no second stream of xz, and some readers no second member of gzip."""
    member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    assert member.decompress(_join(_TEXTS, IndexCompression.GZIP)) == b"".join(_TEXTS)
    assert member.eof
    assert member.unused_data == b""
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    assert stream.decompress(_join(_TEXTS, IndexCompression.XZ)) == b"".join(_TEXTS)
    assert stream.eof
    assert stream.unused_data == b""


def _deb(number: int) -> RepoPackage:
    version = f"1.0.{number:05}-1"
    return RepoPackage(
        name="tool",
        version=version,
        arch="amd64",
        component="main",
        file=f"tool_{version}_amd64.deb",
        pool=PurePosixPath(f"pool/main/t/tool/tool_{version}_amd64.deb"),
        sha256=f"{number * 2654435761 % 2**32:08x}" * 8,
        size=number,
        added=NOW,
        record=DebRecord(control=f"Package: tool\nVersion: {version}\nArchitecture: amd64\n"),
    )


def _write(
    repository: Repository, packages: list[RepoPackage], folder: Path, parts: Parts
) -> dict[str, bytes]:
    spool = Spool(folder)
    indexer = AptIndexer(Output(spool=spool, parts=parts), lambda _sha256: b"usr/bin/tool\n")
    indexer.index("stable", HeldPackages(packages), repository.config, NOW)
    names = ("Packages", "Packages.gz", "Packages.xz")
    return {name: spool.read(_PACKAGES.with_name(name)) for name in names}


def test_one_more_package_changes_one_part_alone(repository: Repository, tmp_path: Path) -> None:
    packages = [_deb(number) for number in range(0, _MANY, 2)]
    _write(repository, packages, tmp_path / "first", Parts(tmp_path / "parts"))
    again = Parts(tmp_path / "parts")
    _write(repository, packages, tmp_path / "second", again)
    assert again.made == 0
    more = sorted([*packages, _deb(_MANY // 2 + 1)], key=lambda package: package.version)
    later = Parts(tmp_path / "parts")
    found = _write(repository, more, tmp_path / "third", later)
    forms = len(repository.config.apt.compressions)
    # A run of Packages may end with the new package; Contents has one part.
    assert forms <= later.made <= 3 * forms
    assert found == _write(repository, more, tmp_path / "fresh", Parts())


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "swap", "delete"])
def test_a_damaged_part_is_made_again(repository: Repository, tmp_path: Path, harm: str) -> None:
    packages = [_deb(number) for number in range(_MANY)]
    right = _write(repository, packages, tmp_path / "first", Parts(tmp_path / "parts"))
    files = sorted(path for path in (tmp_path / "parts").rglob("*") if path.is_file())
    whole = [path.read_bytes() for path in files]
    for number, path in enumerate(files):
        data = whole[number]
        if harm == "delete":
            path.unlink()
        else:
            middle = len(data) // 2
            path.write_bytes(
                {
                    "flip": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
                    "cut": data[:-1],
                    "empty": b"",
                    "swap": whole[number - 1],  # whole, but another part
                }[harm]
            )
    assert _write(repository, packages, tmp_path / "second", Parts(tmp_path / "parts")) == right
    assert [path.read_bytes() for path in files] == whole


def test_the_key_of_a_part_is_of_all_that_its_text_has() -> None:
    package = _deb(1)
    keys = {
        part_key("Packages", [package]),
        part_key("Packages", [package], "../"),
        part_key("primary", [package]),
        part_key("Packages", [package, _deb(2)]),
        part_key("Packages", [replace(package, size=2)]),
        part_key("Packages", [replace(package, pool=PurePosixPath("pool/other"))]),
        part_key("Packages", [replace(package, added=NOW + timedelta(seconds=1))]),
    }
    assert len(keys) == 7


def test_runs_are_all_packages_in_order_and_none_is_long() -> None:
    packages = [_deb(number) for number in range(_MANY)]
    runs = [run.packages for run in split_packages(HeldPackages(packages), 64)]
    assert [package for run in runs for package in run] == packages
    assert len(runs) > _MANY / 64 / 2
    assert max(map(len, runs)) <= 256
    same = [replace(package, sha256="f" * 64) for package in packages]
    assert max(len(run.packages) for run in split_packages(HeldPackages(same), 64)) == 256
