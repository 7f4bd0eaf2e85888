"""What a package calls itself, or its file is called, is not where it is written."""

import os
import stat
from pathlib import Path

from builder.repo.core import Repository
from builder.repo.indexing import build_tree
from builder.repo.sign import Signer
from tests.helpers.repos import NOW, DebPackage, add, write_rpm


def test_what_is_published_can_be_read_whatever_the_umask(
    repository: Repository, tmp_path: Path, signer: Signer
) -> None:
    before = os.umask(0o077)
    try:
        add(repository, DebPackage().write(tmp_path), write_rpm(tmp_path))
        build_tree(repository, signer, NOW)
    finally:
        os.umask(before)
    closed = [
        path
        for path in (repository.public, *repository.public.rglob("*"))
        if stat.S_IMODE(path.stat().st_mode) != (0o755 if path.is_dir() else 0o644)
    ]
    assert closed == []
