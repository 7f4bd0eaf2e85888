"""Patches of apt's Packages: what they say, applied by apt's own program, and their history."""

import gzip
import hashlib
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pytest

from builder.base.errors import BuilderError
from builder.base.run import find_tool, run
from builder.repo import apt as apt_module
from builder.repo.check import check_target
from builder.repo.core import Repository
from builder.repo.indexing import build_tree
from builder.repo.model import LOCAL
from builder.repo.sign import Signer
from tests.helpers.repos import NOW, DebPackage, add

_HOUR = timedelta(hours=1)
_PLACE = PurePosixPath("dists/stable/main/binary-amd64/Packages")
_RRED = Path("/usr/lib/apt/methods/rred")


def test_a_published_list_has_patches_that_apts_program_applies(
    signed_repository: Repository,
    signer: Signer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apt_module, "_PATCHED_FROM", 0)
    repository = signed_repository
    lists = []
    for number in range(3):
        versions = (f"1.{number}-1", f"0.{number}-1", f"2.{9 - number}-1")
        for version in versions:
            add(repository, DebPackage(version=version).write(tmp_path))
        build_tree(repository, signer, NOW + number * _HOUR)
        lists.append((repository.public / _PLACE).read_bytes())
        errors = [p.text for p in check_target(repository, LOCAL, NOW) if p.is_error]
        assert errors == []
    folder = repository.public / f"{_PLACE}.diff"
    release = (repository.public / "dists/stable/Release").read_text()
    assert "main/binary-amd64/Packages.diff/Index\n" in release
    try:
        tool = find_tool(str(_RRED), hint="")
    except BuilderError as error:
        pytest.skip(error.message)
    for text in lists[:-1]:
        name = hashlib.sha256(text).hexdigest()[:16]
        present = hashlib.sha256(lists[-1]).hexdigest()[:16]
        patch = folder / f"T-{present}-F-{name}.gz"
        (tmp_path / "old").write_bytes(text)
        (tmp_path / "patch").write_bytes(gzip.decompress(patch.read_bytes()))
        run([tool, "-t", tmp_path / "old", tmp_path / "new", tmp_path / "patch"])
        assert (tmp_path / "new").read_bytes() == lists[-1]
