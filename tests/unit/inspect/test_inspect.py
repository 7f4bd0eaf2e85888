"""ParsedPackage packages: both formats say the same, damage is one clear error, never another."""

import json
import random
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from builder.base.errors import BuilderError, ExitCode, PayloadError, UsageError
from builder.cli.inspect import inspect_command
from builder.inspect import Package, inspect_package
from builder.inspect.deb822 import parse_fields
from builder.inspect.model import FileEntry, Relation
from builder.inspect.package import sum_folders
from tests.helpers.package_files import COMPRESS, DebFile, Payload, RpmFile, make_ar
from tests.unit.inspect.build_info import BUILD_INFO

SITE = "/opt/backendai/manager/lib/python3.13/site-packages"
COPYRIGHT = "Format: https://example.org/1.0/\n\nFiles: *\nLicense: LGPL-3.0\n text\n"
CONTROL = """\
Package: demo
Version: 1:26.9.0~rc1-1
Architecture: amd64
Maintainer: Some One <one@example.org>
Installed-Size: 12
Depends: libc6 (>= 2.28),
 demo-common (= 26.9.6-1)
Recommends: docker.io | docker-ce
Homepage: https://example.org
Section: net
Description: a summary
 a description
 .
 of three lines
"""


def payload() -> list[Payload]:
    noise = random.Random(1).randbytes(3000)
    record = "demo/big.bin,,3000\ndemo-1.0.dist-info/RECORD,,\n../../../bin/demo,,\n"
    return [
        Payload(path="/etc/demo.toml", content=b"a = 1\n", mode=0o100640, config=True),
        Payload(path="/opt/backendai", mode=0o040755),
        Payload(path="/opt/backendai/manager/bin/demo", content=b"#!/bin/sh\n", mode=0o100755),
        Payload(path=f"{SITE}/demo/big.bin", content=noise, owner="backendai", group="adm"),
        Payload(path=f"{SITE}/demo-1.0.dist-info/RECORD", content=record.encode()),
        Payload(path="/usr/bin/demo", content=b"../lib/demo", mode=0o120777),
        Payload(path="/usr/lib/systemd/system/demo.service", content=b"[Unit]\n"),
        Payload(
            path="/usr/share/doc/demo/build-info.json", content=json.dumps(BUILD_INFO).encode()
        ),
        Payload(path="/usr/share/doc/demo/copyright", content=COPYRIGHT.encode()),
        Payload(path="/usr/share/" + "/".join(["long" * 10] * 5) + "/file", content=b"1"),
    ]


def make_deb(compression: str = "zstd") -> bytes:
    return DebFile(
        control=CONTROL,
        payload=payload(),
        scripts={"postinst": "#!/bin/sh -e\nexit 0\n", "triggers": "interest-noawait /opt\n"},
        compression=compression,
    ).build()


def make_rpm(compression: str = "zstd", *, stripped: bool = False, digests: bool = True) -> bytes:
    return RpmFile(
        name="demo",
        version="26.9.0~rc1",
        payload=payload(),
        compression=compression,
        stripped=stripped,
        digests=digests,
        extra={
            1003: (4, [1]),
            1015: (6, "Some One <one@example.org>"),
            1020: (6, "https://example.org"),
            1024: (6, "exit 0\n"),
            1086: (6, "/bin/sh"),
            1048: (4, [12, 0, 1 << 24 | 10]),
            1049: (8, ["demo-common", "libc.so.6(GLIBC_2.28)(64bit)", "rpmlib(X)"]),
            1050: (8, ["26.9.6-1", "", "4.0-1"]),
        },
    ).build()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write_file(content: bytes, name: str = "demo.pkg") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write_file


Write = Callable[..., Path]


def assert_same_payload(package: Package) -> None:
    expected = {
        file.path: (file.mode, file.owner, file.group, len(file.content)) for file in payload()
    }
    found = {f.path: (f.mode, f.owner, f.group, f.size) for f in package.contents.files}
    expected["/usr/bin/demo"] = (0o120777, "root", "root", found["/usr/bin/demo"][3])
    assert found == expected
    assert package.build_info == BUILD_INFO
    assert package.units == ("/usr/lib/systemd/system/demo.service",)
    assert package.contents.conffiles == ("/etc/demo.toml",)
    assert package.file_count == len(payload()) - 1
    assert package.folders[0].name == "demo 1.0"
    assert package.folders[0].files == 2
    links = {f.path: f.link for f in package.contents.files if f.link}
    assert links == {"/usr/bin/demo": "../lib/demo"}


@pytest.mark.parametrize("compression", sorted(COMPRESS))
def test_reads_a_deb(write: Write, compression: str) -> None:
    package = inspect_package(write(make_deb(compression)))
    assert_same_payload(package)
    assert package.contents.compression == compression
    assert package.metadata.version == "1:26.9.0~rc1-1"
    assert package.metadata.summary == "a summary"
    assert package.metadata.description == "a description\n\nof three lines"
    assert package.metadata.installed_size == 12 * 1024
    assert package.licence == "LGPL-3.0"
    assert package.contents.relations == {
        Relation.DEPENDS: ("libc6 (>= 2.28)", "demo-common (= 26.9.6-1)"),
        Relation.RECOMMENDS: ("docker.io | docker-ce",),
    }
    assert [(script.name, script.interpreter) for script in package.contents.scripts] == [
        ("postinst", "/bin/sh -e")
    ]
    assert package.contents.triggers == ("interest-noawait /opt",)


@pytest.mark.parametrize("stripped", [False, True])
@pytest.mark.parametrize("compression", sorted(set(COMPRESS) - {"none"}))
def test_reads_an_rpm(write: Write, compression: str, stripped: bool) -> None:
    package = inspect_package(write(make_rpm(compression, stripped=stripped)))
    assert_same_payload(package)
    assert package.contents.compression == compression
    assert package.metadata.version == "1:26.9.0~rc1-1"
    assert package.metadata.description == "a description\nof two lines"
    assert package.licence == "LGPL-3.0"
    assert package.contents.relations == {
        Relation.DEPENDS: (
            "demo-common >= 26.9.6-1",
            "libc.so.6(GLIBC_2.28)(64bit)",
            "rpmlib(X) <= 4.0-1",
        ),
    }
    [script] = package.contents.scripts
    assert (script.name, script.interpreter, script.text) == ("post", "/bin/sh", "exit 0\n")


def test_an_rpm_without_files_is_whole(write: Write) -> None:
    package = inspect_package(write(RpmFile(name="meta", version="1").build()))
    assert package.contents.files == ()
    assert package.build_info is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a deb or rpm: it is empty"),
        (b"\x1f\x8b\x08\x00more of it", "is not a deb or rpm: it begins with b'\\x1f"),
    ],
)
def test_something_else_is_a_usage_error(write: Write, content: bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        inspect_package(write(content))
    assert message in caught.value.message
    assert caught.value.hint == "give a .deb or .rpm file"


def test_a_missing_file_and_a_folder_are_usage_errors(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "no.deb", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError, match=why) as caught:
            inspect_package(path)
        assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (make_ar([("other", b"1")]), "without the member debian-binary"),
        (make_ar([("debian-binary", b"3.0\n")]), "format version"),
        (make_ar([("debian-binary", b"2.0\n")]), "it has no control.tar"),
        (make_ar([("debian-binary", b"2.0\n"), ("control.tar.br", b"1")]), "unknown"),
        (make_ar([("debian-binary", b"2.0\n"), ("control.tar", b"")]) + b"junk", "ar member"),
        (DebFile(control="Package: x\nVersion: 1\n").build(), "has no field Architecture"),
        (make_deb()[:-10], "cut off: data.tar.zst lacks its last"),
        (make_rpm()[:60], "cut off within its header"),
        (make_rpm()[:-10], "cut off"),
        (make_rpm().replace(b"a summary", b"a summery"), "does not have the sha256"),
        (RpmFile(name="", version="1").build(), "no name"),
        (RpmFile(name="x", version="1", extra={1125: (6, "lz9")}).build(), "'lz9'"),
    ],
)
def test_damage_is_a_payload_error(write: Write, content: bytes, message: str) -> None:
    path = write(content)
    with pytest.raises(PayloadError) as caught:
        inspect_package(path)
    assert message in caught.value.message
    assert caught.value.message.startswith(f"{path}: ")


def test_a_build_info_that_is_no_json_is_named(write: Write) -> None:
    broken = Payload(path="/usr/share/doc/demo/build-info.json", content=b"{")
    with pytest.raises(PayloadError, match=r"build-info\.json in it is not JSON"):
        inspect_package(write(DebFile(control=CONTROL, payload=[broken]).build()))


def test_a_tar_header_damaged_halfway_is_not_taken_for_the_end(write: Write) -> None:
    content = bytearray(make_deb("none"))
    content[content.index(b"./usr/bin/demo")] ^= 1
    with pytest.raises(PayloadError, match=r"data\.tar is damaged"):
        inspect_package(write(bytes(content)))


_VARIANTS: Sequence[Any] = [
    *(
        pytest.param(make_deb(compression), id=f"deb-{compression}")
        for compression in sorted(COMPRESS)
    ),
    *(
        pytest.param(make_rpm(compression), id=f"rpm-{compression}")
        for compression in ("gzip", "xz", "zstd")
    ),
    pytest.param(make_rpm(digests=False), id="rpm-unhashed"),
    pytest.param(make_rpm("none", digests=False, stripped=True), id="rpm-stripped"),
]


@pytest.mark.parametrize("content", _VARIANTS)
def test_every_truncation_is_an_error(write: Write, content: bytes) -> None:
    for length in range(0, len(content) - 3, 97):
        with pytest.raises((PayloadError, UsageError)):
            inspect_package(write(content[:length]))


@pytest.mark.parametrize("content", _VARIANTS)
def test_no_flipped_byte_gives_another_error(write: Write, content: bytes) -> None:
    chance = random.Random(7)
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 1, 8))):
            # The beginning has the structure; flips in the payload all look alike.
            bound = chance.choice((200, 2000, len(content)))
            damaged[chance.randrange(min(bound, len(content)))] ^= 1 << chance.randrange(8)
        try:
            inspect_package(write(bytes(damaged)))
        except BuilderError as error:
            assert error.exit_code in (ExitCode.PAYLOAD, ExitCode.USAGE)  # noqa: PT017


@pytest.mark.parametrize("make", [DebFile, RpmFile])
def test_a_large_payload_is_not_held_in_memory(
    write: Write, make: type[DebFile] | type[RpmFile]
) -> None:
    noise = random.Random(5).randbytes(1 << 16)
    large = [Payload(path="/opt/large", content=noise * (1 << 10))]
    if make is DebFile:
        path = write(DebFile(control=CONTROL, payload=large).build())
    else:
        path = write(RpmFile(name="demo", version="1", payload=large).build())
    tracemalloc.start()
    try:
        package = inspect_package(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert package.payload_size == 64 << 20
    assert peak < 40 << 20


def test_folders_are_summed_by_distribution_then_by_place() -> None:
    def entry(path: str, size: int, mode: int = 0o100644) -> FileEntry:
        return FileEntry(path=path, mode=mode, owner="root", group="root", size=size)

    files = [
        entry(f"{SITE}/owned/a.py", 3),
        entry(f"{SITE}/owned/__pycache__/a.cpython-313.pyc", 2),
        entry(f"{SITE}/stray/sub/b.py", 7),
        entry(f"{SITE}/demo.bytecode", 5),
        entry("/opt/backendai/manager/lib/python3.13/json/c.py", 11),
        entry("/usr/share/doc/demo/deep/d", 13),
        entry("/top", 1),
        entry("/opt/backendai", 4096, 0o040755),
    ]
    found = sum_folders(files, {f"{SITE}/owned/a.py": "owned 1.0"})
    assert [(folder.name, folder.size, folder.files) for folder in found] == [
        ("/usr/share/doc/demo", 13, 1),
        ("/opt/backendai/manager/lib/python3.13", 11, 1),
        (f"{SITE}/stray", 7, 1),
        ("bytecode", 5, 1),
        ("owned 1.0", 5, 2),
        ("/", 1, 1),
    ]


def test_fields_stop_at_the_first_paragraph() -> None:
    assert parse_fields("\nA: 1\n 2\nB:\n\nC: 3\n") == {"a": "1\n2", "b": ""}


def test_the_command_fits_a_ci_log(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(inspect_command, [str(write(make_rpm(), "demo.rpm"))])
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    for text in (
        "demo 1:26.9.0~rc1-1 x86_64 (rpm)",
        "CPython 3.13.5 (source)",
        "type-stubs: 4.0 kB, 3 files",
        "2.28 or newer",
        "demo-common >= 26.9.6-1",
        "demo.service",
        "demo 1.0",
    ):
        assert text in done.output
    assert "rpmlib" not in done.output
    assert "exit 0" not in done.output


def test_the_command_lists_what_it_is_asked_for(write: Write) -> None:
    path = str(write(make_deb()))
    done = CliRunner().invoke(inspect_command, [path, "--scripts", "--files", "--wheels"])
    assert done.exit_code == 0
    assert "exit 0" in done.output
    assert "demo 1.0  demo-1.0.whl" in done.output
    listing = [line.split() for line in done.output.splitlines() if line.startswith("-rw-r-----")]
    assert listing == [["-rw-r-----", "root:root", "6", "/etc/demo.toml"]]
    assert "/usr/bin/demo -> ../lib/demo" in done.output


def test_control_characters_of_a_package_do_not_reach_the_terminal(write: Write) -> None:
    control = CONTROL.replace("a summary", "a \x1b[31msummary")
    done = CliRunner().invoke(inspect_command, [str(write(DebFile(control=control).build()))])
    assert done.exit_code == 0
    assert "\x1b" not in done.output
    assert "summary" in done.output


def test_json_has_all_files_of_all_packages(write: Write) -> None:
    paths = [str(write(make_deb(), "a.deb")), str(write(make_rpm(), "b.rpm"))]
    done = CliRunner().invoke(inspect_command, [*paths, "--json", "--files", "--scripts"])
    found = json.loads(done.stdout)
    assert [package["format"] for package in found] == ["deb", "rpm"]
    for package in found:
        assert package["runtime"] == BUILD_INFO["runtime"]
        assert package["wheels"] == BUILD_INFO["wheels"]
        assert len(package["files"]) == len(payload())
        assert package["scripts"][0]["text"].endswith("exit 0\n")


def test_a_bad_file_does_not_hide_a_good_one(write: Write, tmp_path: Path) -> None:
    paths = [str(tmp_path / "no.deb"), str(write(make_deb())), str(tmp_path / "no.rpm")]
    done = CliRunner().invoke(inspect_command, paths)
    assert "demo 1:26.9.0~rc1-1 amd64 (deb)" in done.output
    assert isinstance(done.exception, UsageError)
    assert "no.deb" in done.exception.message
    assert "no.rpm" in done.exception.message
