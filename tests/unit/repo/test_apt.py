"""apt's indexes: what they say, how they name each other, and that they do not vary."""

import gzip
import hashlib
import lzma
from pathlib import Path, PurePosixPath

import pytest
import zstandard

from builder.inspect.deb822 import parse_fields
from builder.repo.apt import AptIndexer, newest, render_contents
from builder.repo.config import RepoConfig
from builder.repo.core import Repository, workspace
from builder.repo.model import Index
from builder.repo.parts import Output
from builder.repo.spool import Spool
from tests.helpers.repos import NOW, DebPackage, add

_STABLE = PurePosixPath("dists/stable")


def _index(repository: Repository, config: RepoConfig | None = None) -> Index:
    packages = repository.state.select("stable")
    with workspace(repository.root) as work:
        output = Output(spool=Spool(work))
        indexer = AptIndexer(output, repository.state.listing)
        indexer.index("stable", packages, config or repository.config, NOW)
        return {path: output.spool.read(path) for path in output.spool.files}


def _changed(config: RepoConfig, **changes: object) -> RepoConfig:
    table = config.model_dump(mode="json", by_alias=True)
    return RepoConfig.model_validate({**table, **changes})


@pytest.fixture
def filled(repository: Repository, tmp_path: Path) -> Repository:
    """Two versions of a tool for each architecture, and a package for all."""
    for arch in ("amd64", "arm64"):
        for version in ("1.9-1", "1.10-1"):
            paths = ["/usr/bin/tool", f"/usr/share/tool/{version}"]
            package = DebPackage(arch=arch, version=version, paths=paths)
            add(repository, package.write(tmp_path))
    data = DebPackage(name="data", arch="all", extra="Section:\n", paths=["/usr/share/a b"])
    add(repository, data.write(tmp_path))
    add(repository, DebPackage(name="other").write(tmp_path), component="extra")
    return repository


def test_packages_says_where_each_version_lies(filled: Repository) -> None:
    text = _index(filled)[_STABLE / "main/binary-amd64/Packages"].decode()
    paragraphs = [parse_fields(paragraph) for paragraph in text.rstrip().split("\n\n")]
    assert [
        (paragraph["package"], paragraph["version"], paragraph["architecture"])
        for paragraph in paragraphs
    ] == [
        ("data", "1.0-1", "all"),
        ("tool", "1.10-1", "amd64"),
        ("tool", "1.9-1", "amd64"),
    ]
    for paragraph in paragraphs:
        place = filled.public / paragraph["filename"]
        assert paragraph["size"] == str(place.stat().st_size)
        assert paragraph["sha256"] == hashlib.sha256(place.read_bytes()).hexdigest()
    assert paragraphs[1]["filename"] == "pool/main/t/tool/tool_1.10-1_amd64.deb"
    assert paragraphs[1]["depends"] == "libc6"
    other = _index(filled)[_STABLE / "extra/binary-arm64/Packages"]
    assert other == b""


def test_release_names_every_index_by_both_hashes(filled: Repository) -> None:
    index = _index(filled)
    fields = parse_fields(index[_STABLE / "Release"].decode())
    assert fields["date"] == "Mon, 23 Nov 2026 12:00:00 UTC"
    assert fields["acquire-by-hash"] == "yes"
    assert fields["architectures"] == "amd64 arm64"
    assert fields["components"] == "main extra"
    assert "valid-until" not in fields
    named = set()
    for name in ("sha256", "sha512"):
        for row in fields[name].split("\n")[1:]:
            digest, size, path = row.split()
            if path.endswith(("Contents-amd64", "Contents-arm64")):  # described, not published
                plain = gzip.decompress(index[_STABLE / f"{path}.gz"])
                assert hashlib.new(name, plain).hexdigest() == digest
                continue
            data = index[_STABLE / path]
            assert hashlib.new(name, data).hexdigest() == digest
            assert len(data) == int(size)
            by_hash = (_STABLE / path).parent / "by-hash" / name.upper() / digest
            assert index[by_hash] == data
            named.add(_STABLE / path)
    published = {path for path in index if "by-hash" not in path.parts}
    assert published == named | {_STABLE / "Release"}


def test_each_compression_holds_the_same(filled: Repository) -> None:
    config = _changed(filled.config, apt={"compressions": ["gz", "xz", "zst"]})
    index = _index(filled, config)
    base = _STABLE / "main/binary-amd64"
    plain = index[base / "Packages"]
    assert gzip.decompress(index[base / "Packages.gz"]) == plain
    assert lzma.decompress(index[base / "Packages.xz"]) == plain
    reader = zstandard.ZstdDecompressor().stream_reader(index[base / "Packages.zst"])
    assert reader.read() == plain
    bare = _index(filled, _changed(filled.config, apt={"compressions": [], "contents": False}))
    assert not [path for path in bare if path.name.startswith(("Packages.", "Contents"))]


def test_valid_until_is_a_channels_choice(filled: Repository) -> None:
    config = _changed(filled.config, channels={"stable": {"valid-until-days": 7}})
    fields = parse_fields(_index(filled, config)[_STABLE / "Release"].decode())
    assert fields["valid-until"] == "Mon, 30 Nov 2026 12:00:00 UTC"


def test_contents_is_of_the_newest_versions(filled: Repository) -> None:
    rows = gzip.decompress(_index(filled)[_STABLE / "main/Contents-amd64.gz"]).decode()
    assert [row.rsplit(maxsplit=1) for row in rows.splitlines()] == [
        ["usr/bin/tool", "net/tool"],
        ["usr/share/a b", "misc/data"],
        ["usr/share/tool/1.10-1", "net/tool"],
    ]


def test_a_file_of_two_packages_names_both(filled: Repository) -> None:
    packages = newest(filled.state.select("stable"))
    rows = render_contents(packages, lambda _: b"usr/bin/same").decode()
    assert rows.split() == ["usr/bin/same", "misc/data,net/other,net/tool"]


def test_same_input_same_bytes(filled: Repository) -> None:
    assert _index(filled) == _index(filled)
