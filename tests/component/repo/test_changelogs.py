"""The changelogs that apt fetches: where they are, and how long they stay."""

from datetime import timedelta
from pathlib import Path, PurePosixPath

import pytest

from builder.repo.changelogs import changelog_place
from builder.repo.core import Repository
from builder.repo.indexing import build_tree
from builder.repo.publication import Publication
from builder.repo.rollout import begin_rollout
from builder.repo.sign import Signer
from tests.helpers.repos import NOW, DebPackage, add, write_rpm

TEXT = "tool (1.0-1) stable; urgency=high\n\n  * Fixes CVE-2026-12345.\n"


def _put(publication: Publication) -> set[str]:
    return {str(put.path) for put in publication.puts if put.path.parts[0] == "changelogs"}


@pytest.mark.parametrize(
    ("package", "place"),
    [
        (DebPackage(), "main/t/tool/tool_1.0-1"),
        (DebPackage(version="2:1.0~rc1-1"), "main/t/tool/tool_1.0~rc1-1"),
        (DebPackage(name="libtool"), "main/libt/libtool/libtool_1.0-1"),
        (DebPackage(extra="Source: src\n"), "main/s/src/src_1.0-1"),
        (DebPackage(extra="Source: src (1:3-2)\n"), "main/s/src/src_3-2"),
    ],
)
def test_a_changelog_is_where_apt_looks_for_it(
    repository: Repository, tmp_path: Path, package: DebPackage, place: str
) -> None:
    (added,) = add(repository, package.write(tmp_path))
    assert changelog_place(added.package) == PurePosixPath(f"changelogs/{place}_changelog")


def test_a_changelog_is_published_once_and_goes_with_its_package(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    repository, place = signed_repository, "changelogs/main/t/tool/tool_1.0-1_changelog"
    silent = DebPackage(name="silent").write(tmp_path)
    (added, *_) = add(
        repository, DebPackage(changelog=TEXT).write(tmp_path), silent, write_rpm(tmp_path)
    )
    assert _put(build_tree(repository, signer, NOW)) == {place}
    assert (repository.public / place).read_text() == TEXT
    release = (repository.public / "dists/stable/Release").read_text()
    assert "Changelogs: https://packages.example.org/changelogs/@CHANGEPATH@_changelog\n" in release
    assert build_tree(repository, signer, NOW).is_empty
    # Lost, it is read out of the package again.
    (repository.public / place).unlink()
    assert _put(build_tree(repository, signer, NOW)) == {place}
    with repository.state.transaction():
        repository.state.forget([added.package.sha256])
    build_tree(repository, signer, NOW)
    build_tree(repository, signer, NOW + timedelta(hours=2))
    assert not (repository.public / place).exists()


def test_packages_that_are_phased_together_have_one_changelog(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    """apt asks by the source that the index names; one of them has that name itself."""
    repository, name = signed_repository, signed_repository.config.name

    def both(version: str) -> list[Path]:
        debs = (
            DebPackage(name=package, version=version, changelog=f"{package} {version}\n")
            for package in ("tool", name)
        )
        return [deb.write(tmp_path) for deb in debs]

    add(repository, *both("1.0-1"))
    found = add(repository, *both("1.1-1"))
    begin_rollout(repository, "stable", [added.package for added in found], 20)
    whole = repository.public / f"changelogs/main/e/{name}/{name}_1.1-1_changelog"
    for _ in range(2):
        build_tree(repository, signer, NOW)
        assert whole.read_text() == f"{name} 1.1-1\n\ntool 1.1-1\n"
    own = repository.public / "changelogs/main/t/tool/tool_1.1-1_changelog"
    assert own.read_text() == "tool 1.1-1\n"
    packages = (repository.public / "dists/stable/main/binary-amd64/Packages").read_text()
    assert packages.count(f"Source: {name} (1.1-1)\n") == 2


def test_a_changelog_that_is_no_gzip_is_reported_and_left_out(
    signed_repository: Repository,
    signer: Signer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = DebPackage(paths=["/usr/share/doc/tool/changelog.gz"]).write(tmp_path)
    add(signed_repository, broken)
    assert _put(build_tree(signed_repository, signer, NOW)) == set()
    assert "its changelog cannot be read" in caplog.text
