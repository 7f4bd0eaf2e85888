"""Archives that are fine, and archives that mean harm: the latter leave nothing."""

import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from builder.base.errors import PayloadError
from builder.net.extract import check_links, extract_tar

Entry = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"hello", mode: int = 0o644) -> Entry:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = mode
    info.mtime = 1_700_000_000
    return info, content


def special(name: str, kind: bytes, linkname: str = "") -> Entry:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = linkname
    info.mode = 0o777
    return info, b""


def folder(name: str, mode: int = 0o700) -> Entry:
    info, content = special(name, tarfile.DIRTYPE)
    info.mode = mode
    return info, content


def symlink(name: str, to: str) -> Entry:
    return special(name, tarfile.SYMTYPE, to)


def hardlink(name: str, to: str) -> Entry:
    return special(name, tarfile.LNKTYPE, to)


def tar_of(*entries: Entry) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def write(tmp_path: Path, *entries: Entry) -> Path:
    archive = tmp_path / "hostile.tar.gz"
    archive.write_bytes(gzip.compress(tar_of(*entries)))
    return archive


def refused(tmp_path: Path, archive: Path, match: str, **options: int) -> None:
    """Check that ``archive`` is refused, by name, and nothing of it stays."""
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(PayloadError, match=match) as caught:
        extract_tar(archive, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert str(archive) in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress, zstandard.compress])
def test_every_compression_is_detected_by_its_bytes(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(compress(tar_of(folder("python"), file("python/bin/x", b"#!/bin/sh"))))
    extract_tar(archive, tmp_path / "out", strip="python")
    assert (tmp_path / "out/bin/x").read_bytes() == b"#!/bin/sh"


def test_modes_are_normalised_and_times_kept(tmp_path: Path) -> None:
    archive = write(
        tmp_path, folder("d"), file("d/set", mode=0o6711), file("d/open", mode=0o666), file("top")
    )
    extract_tar(archive, tmp_path / "out")
    modes = {p.name: oct(p.stat().st_mode & 0o7777) for p in (tmp_path / "out").rglob("*")}
    assert modes == {"d": "0o755", "set": "0o755", "open": "0o644", "top": "0o644"}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/top").stat().st_mtime == 1_700_000_000


def test_links_inside_are_kept_and_hard_links_become_copies(tmp_path: Path) -> None:
    archive = write(
        tmp_path,
        file("python/bin/python3.13", b"elf", mode=0o755),
        symlink("python/bin/python3", "python3.13"),
        symlink("python/lib/up", "../bin/python3"),
        hardlink("python/bin/again", "python/bin/python3.13"),
    )
    extract_tar(archive, tmp_path / "out", strip="python")
    out = tmp_path / "out"
    assert (out / "lib/up").read_bytes() == b"elf"
    assert (out / "bin/again").read_bytes() == b"elf"
    assert (out / "bin/again").stat().st_nlink == 1
    assert (out / "bin/again").stat().st_mode & 0o777 == 0o755


def test_an_empty_target_is_filled_and_a_full_one_is_not(tmp_path: Path) -> None:
    archive = write(tmp_path, file("x"))
    (tmp_path / "out").mkdir()
    extract_tar(archive, tmp_path / "out")
    assert (tmp_path / "out/x").is_file()
    with pytest.raises(OSError, match="not empty"):
        extract_tar(archive, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"hostile.tar.gz", "out"}


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ([file("/etc/passwd")], r"member '/etc/passwd' is an absolute path"),
        ([file("a/../../x")], r"member 'a/\.\./\.\./x' climbs with '\.\.'"),
        ([folder("..")], r"climbs with '\.\.'"),
        ([symlink("x", "/etc")], r"member 'x' is a link out of the archive, to '/etc'"),
        ([symlink("a/x", "../../y")], r"member 'a/x' is a link out of the archive"),
        ([symlink("x", "a/../../y")], r"is a link out of the archive"),
        (
            [folder("a/b"), symlink("l", "a/b"), symlink("m", "l/../../..")],
            r"member 'm' is a link out of",
        ),
        ([symlink("d", "."), file("d/x")], r"member 'd/x' needs the folder d, which is a file"),
        ([file("d"), file("d/x")], r"needs the folder d, which is a file or link"),
        ([folder("d"), symlink("d", ".")], r"member 'd' is there twice"),
        ([symlink("d", "."), folder("d")], r"needs the folder d"),
        ([file("x"), file("./x")], r"member '\./x' is there twice"),
        ([hardlink("x", "/etc/passwd")], r"member 'x' is an absolute path|absolute"),
        ([hardlink("x", "../y")], r"climbs with '\.\.'"),
        ([hardlink("x", "y")], r"hard link to 'y', no file unpacked before it"),
        ([symlink("y", "z"), hardlink("x", "y")], r"hard link to 'y', no file"),
        ([folder("y"), hardlink("x", "y")], r"hard link to 'y', no file"),
        ([special("null", tarfile.CHRTYPE)], r"member 'null' is a device, a pipe"),
        ([special("sda", tarfile.BLKTYPE)], r"is a device"),
        ([special("pipe", tarfile.FIFOTYPE)], r"is a device, a pipe"),
        ([], r"the archive is empty"),
        ([file("good"), file("../evil")], r"member '\.\./evil' climbs"),
    ],
)
def test_hostile_archives_are_refused(tmp_path: Path, entries: list[Entry], match: str) -> None:
    refused(tmp_path, write(tmp_path, *entries), match)


def test_a_link_that_climbs_through_another_is_refused(tmp_path: Path) -> None:
    # Word for word "deep/../.." ends in s/t; followed, deep is s, and two above that is outside.
    archive = write(
        tmp_path,
        folder("s/t/u"),
        symlink("s/t/u/deep", "../../../s"),
        symlink("s/t/u/out", "deep/../.."),
    )
    refused(tmp_path, archive, r"member 's/t/u/out' is a link out of it")


def test_members_beside_the_stripped_folder_are_refused(tmp_path: Path) -> None:
    archive = write(tmp_path, file("python/x"), file("other/y"))
    with pytest.raises(PayloadError, match="member 'other/y' is not below python/"):
        extract_tar(archive, tmp_path / "out", strip="python")
    assert not (tmp_path / "out").exists()


def test_a_link_out_of_the_stripped_folder_is_refused(tmp_path: Path) -> None:
    archive = write(tmp_path, file("python/x"), symlink("python/y", "../x"))
    with pytest.raises(PayloadError, match="'python/y' is a link out"):
        extract_tar(archive, tmp_path / "out", strip="python")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    archive = write(tmp_path, file("bomb", b"\0" * (5 << 20)))
    assert archive.stat().st_size < 20_000
    refused(tmp_path, archive, r"'bomb' makes the archive larger than 1048576", max_bytes=1 << 20)


def test_copies_of_hard_links_count(tmp_path: Path) -> None:
    links = [hardlink(f"link{n}", "file") for n in range(20)]
    archive = write(tmp_path, file("file", b"x" * 1000), *links)
    refused(tmp_path, archive, "larger than 10000 bytes", max_bytes=10_000)


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    archive = write(tmp_path, *[file(f"f{n}", b"") for n in range(11)])
    refused(tmp_path, archive, "is one too many: at most 10", max_members=10)


def test_a_huge_header_is_refused_before_it_fills_memory(tmp_path: Path) -> None:
    info, _ = file("x")
    info.pax_headers = {"comment": "z" * (6 << 20)}
    refused(tmp_path, write(tmp_path, (info, b"hello")), "header is longer than any name needs")


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress, zstandard.compress])
def test_a_truncated_archive_is_refused(
    tmp_path: Path, compress: Callable[[bytes], bytes], cut: float
) -> None:
    noise = bytes((n * n * 7 + n // 3) % 251 for n in range(9000))
    whole = compress(tar_of(file("a", noise), file("b", noise), file("c", noise)).rstrip(b"\0"))
    archive = tmp_path / "cut.tar"
    archive.write_bytes(whole[: int(len(whole) * cut)])
    refused(tmp_path, archive, "cannot be unpacked")


def test_a_tar_cut_between_members_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "cut.tar"
    archive.write_bytes(tar_of(file("a", b"x" * 512), file("b"))[:1024])
    refused(tmp_path, archive, "cannot be unpacked after a")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.tar.gz"
    page.write_bytes(b"<html>please log in</html>" * 100)
    refused(tmp_path, page, "cannot be unpacked")
    refused(tmp_path, tmp_path / "none.tar", "cannot be read: No such file")


def test_links_of_a_folder_are_checked(tmp_path: Path) -> None:
    (tmp_path / "tree/bin").mkdir(parents=True)
    (tmp_path / "tree/bin/python3").symlink_to("python3.13")
    check_links(tmp_path / "tree", "the tree")
    (tmp_path / "tree/bin/sh").symlink_to("/bin/sh")
    with pytest.raises(PayloadError, match=r"the tree: member 'bin/sh' is a link out of it"):
        check_links(tmp_path / "tree", "the tree")
