"""What a tar may say of a member and no file can be: refused, or brought into bounds."""

import io
import tarfile
from pathlib import Path

import pytest

from builder.base.errors import PayloadError
from builder.net.extract import extract_tar


def _archive(path: Path, name: str, **headers: str) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        info.size, info.pax_headers = 4, headers
        tar.addfile(info, io.BytesIO(b"data"))
    return path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("n" * 256, "longer than 255 bytes"),
        ("ü" * 128, "longer than 255 bytes"),
        ("/".join(["d" * 200] * 30), "a path of more than 2048 bytes"),
    ],
)
def test_names_that_no_file_can_have(tmp_path: Path, name: str, says: str) -> None:
    archive = _archive(tmp_path / "a.tar", name)
    with pytest.raises(PayloadError, match=says):
        extract_tar(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("time", ["nan", "inf", "-inf", "-1", "1e300", "99999999999999999999"])
def test_times_that_no_file_can_have_are_those_of_1970(tmp_path: Path, time: str) -> None:
    archive = _archive(tmp_path / "a.tar", "a", mtime=time)
    extract_tar(archive, tmp_path / "out")
    assert (tmp_path / "out" / "a").stat().st_mtime == 0


@pytest.mark.parametrize("header", ["size", "uid", "mtime"])
@pytest.mark.parametrize("value", ["9" * 5000, "x", "nan", ""])
def test_numbers_that_are_none(tmp_path: Path, header: str, value: str) -> None:
    archive = _archive(tmp_path / "a.tar", "a", **{header: value})
    try:
        extract_tar(archive, tmp_path / "out")
    except PayloadError:
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_streams_that_are_cut_anywhere(tmp_path: Path, mode: str) -> None:
    whole = tmp_path / "whole"
    with tarfile.open(whole, mode) as tar:  # type: ignore[call-overload]
        info = tarfile.TarInfo("a")
        info.size = 3000
        tar.addfile(info, io.BytesIO(bytes(range(250)) * 12))
    data = whole.read_bytes()
    for end in range(0, min(len(data), 3500), 97):
        (tmp_path / "cut").write_bytes(data[:end])
        with pytest.raises(PayloadError):
            extract_tar(tmp_path / "cut", tmp_path / f"out-{end}")
