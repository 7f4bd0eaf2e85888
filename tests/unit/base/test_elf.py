"""ParsedPackage ELF files, made by hand and real."""

import sys
from pathlib import Path, PurePosixPath

import pytest

from builder.base.elf import read_elf, read_machine, scan_tree
from builder.base.elf_info import ElfInfo, highest_glibc
from tests.helpers.elves import Elf


def read(folder: Path, content: bytes) -> ElfInfo | None:
    path = folder / "file"
    path.write_bytes(content)
    return read_elf(path)


def test_a_library(tmp_path: Path) -> None:
    versions = {
        "libc.so.6": ["GLIBC_2.9", "GLIBC_2.28", "GLIBC_PRIVATE", "GLIBC_ABI_DT_RELR"],
        "libssl.so.3": ["OPENSSL_3.0.0"],
    }
    made = Elf(
        soname="libx.so.1",
        needed=["libssl.so.3", "libc.so.6"],
        runpath="$ORIGIN/../lib:/opt/lib",
        versions=versions,
    )
    assert read(tmp_path, made.write()) == ElfInfo(
        machine="EM_X86_64",
        bits=64,
        soname="libx.so.1",
        needed=("libssl.so.3", "libc.so.6"),
        runpath=("$ORIGIN/../lib", "/opt/lib"),
        interpreter=None,
        dynamic=True,
        versions={name: tuple(sorted(names)) for name, names in versions.items()},
    )


def test_versions_compare_as_numbers(tmp_path: Path) -> None:
    info = read(tmp_path, Elf(versions={"libc.so.6": ["GLIBC_2.9", "GLIBC_2.2.5"]}).write())
    other = read(tmp_path, Elf(versions={"libm.so.6": ["GLIBC_2.17"]}).write())
    assert info is not None
    assert other is not None
    assert info.glibc == (2, 9)
    assert highest_glibc(iter([info, other])) == "2.17"


def test_names_that_are_no_version_do_not_count(tmp_path: Path) -> None:
    info = read(tmp_path, Elf(versions={"libc.so.6": ["GLIBC_PRIVATE"]}).write())
    assert info is not None
    assert info.glibc is None
    assert highest_glibc(iter([info])) == ""


@pytest.mark.parametrize(
    ("rpath", "runpath", "expected"),
    [("/a", "", ("/a",)), ("/a", "/b:/c", ("/b", "/c")), ("", "", ())],
)
def test_runpath_hides_rpath(
    tmp_path: Path, rpath: str, runpath: str, expected: tuple[str, ...]
) -> None:
    info = read(tmp_path, Elf(rpath=rpath, runpath=runpath).write())
    assert info is not None
    assert info.runpath == expected


def test_a_foreign_program(tmp_path: Path) -> None:
    made = Elf(kind="ET_EXEC", machine="EM_AARCH64", interpreter="/lib/ld-linux-aarch64.so.1")
    info = read(tmp_path, made.write())
    assert info is not None
    assert (info.machine, info.interpreter) == ("EM_AARCH64", "/lib/ld-linux-aarch64.so.1")


def test_a_static_program(tmp_path: Path) -> None:
    info = read(tmp_path, Elf(kind="ET_EXEC", dynamic=False).write())
    assert info is not None
    assert not info.dynamic
    assert info.needed == ()


@pytest.mark.parametrize("kind", ["ET_REL", "ET_CORE"])
def test_what_no_loader_takes(tmp_path: Path, kind: str) -> None:
    assert read(tmp_path, Elf(kind=kind).write()) is None


def test_every_truncation_is_survived(tmp_path: Path) -> None:
    whole = Elf(soname="libx.so", needed=["libc.so.6"], versions={"libc.so.6": ["GLIBC_2.4"]})
    content = whole.write()
    for length in range(len(content)):
        read(tmp_path, content[:length])  # whatever it answers, it answers
    assert read(tmp_path, content[:0x30]) is None
    assert read(tmp_path, b"#!/bin/sh\n") is None


def test_this_interpreter() -> None:
    info = read_elf(Path(sys.executable).resolve())
    assert info is not None
    assert info.interpreter is not None
    assert any(name.startswith("libc.so") for name in info.needed)
    assert info.glibc is not None
    assert info.glibc >= (2, 2)


def test_a_tree_is_read_in_order_and_links_are_left(tmp_path: Path) -> None:
    for name in ("b/liby.so", "a/libx.so", "libz.so"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(Elf(soname=path.name).write())
    (tmp_path / "link.so").symlink_to("libz.so")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "text").write_text("text")
    (tmp_path / "empty").touch()
    found = scan_tree(tmp_path)
    assert [path for path, _ in found] == [
        PurePosixPath(name) for name in ("a/libx.so", "b/liby.so", "libz.so")
    ]
    assert [info.soname for _, info in found] == ["libx.so", "liby.so", "libz.so"]


@pytest.mark.parametrize("machine", ["EM_X86_64", "EM_AARCH64"])
def test_the_machine_is_read_from_the_header_alone(tmp_path: Path, machine: str) -> None:
    path = tmp_path / "file"
    whole = Elf(machine=machine).write()
    path.write_bytes(whole)
    assert read_machine(path) == machine
    path.write_bytes(whole[:20])
    assert read_machine(path) == machine


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"GROUP ( /lib/libc.so.6 ) and more text"])
def test_the_machine_of_another_file_is_unknown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert read_machine(path) is None
    path.write_bytes(Elf(kind="ET_REL").write())
    assert read_machine(path) is None
