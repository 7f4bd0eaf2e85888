"""Advisories: what dnf reads of a channel, and what scanners read of the repository."""

import gzip
from pathlib import Path, PurePosixPath

import createrepo_c

from builder.repo.advisories import OSV
from builder.repo.core import Repository
from builder.repo.indexing import build_tree
from builder.repo.sign import Signer
from tests.helpers.repos import NOW, add, write_rpm
from tests.unit.repo.lines import FIRST, RUNTIME, line


def test_a_publication_has_them_and_makes_them_again_for_a_new_entry(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    add(signed_repository, write_rpm(tmp_path, RUNTIME, "26.9.6"))
    build_tree(signed_repository, signer, NOW, releases=[line(FIRST)])
    folder = signed_repository.public / "rpm/stable/main/x86_64"

    def read() -> dict[str, str]:
        repomd = createrepo_c.Repomd(str(folder / "repodata/repomd.xml"))
        (place,) = (row.location_href for row in repomd.records if row.type == "updateinfo")
        path = tmp_path / "updateinfo.xml"
        path.write_bytes(gzip.decompress((folder / place).read_bytes()))
        return {row.id: row.type for row in createrepo_c.UpdateInfo(str(path)).updates}

    assert read() == {"BACKENDAI-26.9.6-1": "enhancement"}
    assert not (signed_repository.public / OSV).exists()
    assert build_tree(signed_repository, signer, NOW, releases=[line(FIRST)]).is_empty
    fixed = {**FIRST, "fixes": ["CVE-2026-1111"]}
    put = build_tree(signed_repository, signer, NOW, releases=[line(fixed)]).puts
    assert read() == {"BACKENDAI-26.9.6-1": "security"}
    assert PurePosixPath("osv/all.zip") in {row.path for row in put}
