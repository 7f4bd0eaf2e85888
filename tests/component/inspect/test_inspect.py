"""ParsedPackage packages: both formats say the same, damage is one clear error, never another."""

import json
import random
from pathlib import Path

import pytest

from builder.base.errors import ToolError
from builder.base.run import run
from builder.inspect import inspect_package
from builder.inspect.model import Relation
from builder.pack.packing import nfpm_path
from tests.unit.inspect.build_info import BUILD_INFO


def _nfpm() -> Path:
    try:
        return nfpm_path()
    except ToolError as error:
        pytest.skip(error.message)


@pytest.mark.build
@pytest.mark.parametrize(
    ("fmt", "compression", "read_as"),
    [
        ("deb", "zstd:3", "zstd"),
        ("deb", "xz", "xz"),
        ("deb", "gzip", "gzip"),
        ("deb", "none", "none"),
        ("rpm", "zstd:3", "zstd"),
        ("rpm", "xz", "xz"),
        ("rpm", "gzip", "gzip"),
        ("rpm", "lzma", "lzma"),
    ],
)
def test_reads_what_nfpm_packs(tmp_path: Path, fmt: str, compression: str, read_as: str) -> None:
    content = tmp_path / "content"
    content.write_bytes(random.Random(3).randbytes(100_000))
    info = tmp_path / "build-info.json"
    info.write_text(json.dumps(BUILD_INFO), encoding="utf-8")
    script = tmp_path / "postinst"
    script.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    config = {
        "name": "demo",
        "arch": "amd64",
        "version": "26.9.6",
        "release": "1",
        "version_schema": "none",
        "maintainer": "Some One <one@example.org>",
        "description": "a summary",
        "license": "LGPL-3.0",
        "depends": ["demo-common"],
        "scripts": {"postinstall": str(script)},
        "contents": [
            {"src": str(content), "dst": "/opt/demo/big"},
            {"src": str(script), "dst": "/etc/demo.conf", "type": "config|noreplace"},
            {"src": "/opt/demo/big", "dst": "/usr/bin/demo", "type": "symlink"},
            {"dst": "/var/lib/demo", "type": "dir", "file_info": {"owner": "demo", "mode": 0o750}},
            {"src": str(info), "dst": "/usr/share/doc/demo/build-info.json"},
        ],
        fmt: {"compression": compression},
    }
    file = tmp_path / "nfpm.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    target = tmp_path / f"demo.{fmt}"
    run([_nfpm(), "package", "--config", file, "--packager", fmt, "--target", target])
    package = inspect_package(target)
    assert package.contents.compression == read_as
    assert (package.metadata.name, package.metadata.version) == ("demo", "26.9.6-1")
    assert package.contents.relations[Relation.DEPENDS][0] == "demo-common"
    assert package.contents.conffiles == ("/etc/demo.conf",)
    assert package.build_info == BUILD_INFO
    assert "exit 0" in package.contents.scripts[0].text
    files = {file.path.rstrip("/"): file for file in package.contents.files}
    assert files["/opt/demo/big"].size == 100_000
    assert files["/usr/bin/demo"].link == "/opt/demo/big"
    assert files["/var/lib/demo"].is_dir
    assert files["/var/lib/demo"].owner == "demo"
    assert files["/var/lib/demo"].listing_mode == "drwxr-x---"
