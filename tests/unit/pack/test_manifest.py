"""The manifest beside the packages: merged, repaired, never half-written."""

import errno
import json
import os
from pathlib import Path

import pytest

from builder.base.errors import StorageError
from builder.base.model import PackageFormat
from builder.pack.manifest import load_manifest, manifest_entry, merge_entries, write_manifest
from builder.pack.packing import Artifact


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An out folder with one package."""
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / "example_1.0-1_amd64.deb").write_bytes(b"package")
    return folder


@pytest.fixture
def artifact(out: Path) -> Artifact:
    """That package."""
    (path,) = out.iterdir()
    return Artifact(
        name="example",
        version="1.0-1",
        fmt=PackageFormat.DEB,
        arch="amd64",
        file=path.name,
        path=path,
        sha256="ab" * 32,
        size=7,
        inputs={"release": "1.0"},
        sbom=out / "sbom.cdx.json",
        sbom_sha256="cd" * 32,
        reused=False,
    )


def test_the_manifest_keeps_what_is_still_there(artifact: Artifact, out: Path) -> None:
    (out / "other.deb").touch()
    present = [{"file": "other.deb", "size": 0}, {"file": "gone.deb"}, {"file": artifact.file}]
    (out / "manifest.json").write_text(json.dumps({"packages": present}), encoding="utf-8")
    path = write_manifest(out, [artifact])
    found = load_manifest(out)
    assert [entry["file"] for entry in found] == [artifact.file, "other.deb"]
    assert found[0] == manifest_entry(artifact)
    assert found[0]["inputs"] == {"release": "1.0"}
    first = path.read_bytes()
    assert write_manifest(out, [artifact]).read_bytes() == first
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("text", ["", "[]", "null", '{"packages": [1, {"name": "x"}]}', "{"])
def test_a_manifest_that_is_none_is_written_anew(artifact: Artifact, out: Path, text: str) -> None:
    (out / "manifest.json").write_text(text, encoding="utf-8")
    write_manifest(out, [artifact])
    assert load_manifest(out) == [manifest_entry(artifact)]


def test_a_manifest_that_cannot_be_written_leaves_no_part(
    artifact: Artifact, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def refuse(self: Path, _target: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StorageError, match="Read-only"):
        write_manifest(out, [artifact])
    assert [path.name for path in out.iterdir()] == [artifact.file]


def test_entries_are_merged_by_file_the_new_ones_winning() -> None:
    present = [{"file": "b", "size": 1}, {"file": "a", "size": 1}]
    made = [{"file": "a", "size": 2}]
    assert merge_entries(present, made, {"a", "b"}) == [
        {"file": "a", "size": 2},
        {"file": "b", "size": 1},
    ]
