"""The state survives what may happen to it, and a second command waits for the first."""

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pytest

from builder.base.errors import RepoError, StorageError
from builder.base.model import PackageFormat
from builder.repo.core import Repository
from builder.repo.model import LOCAL, FileFacts
from builder.repo.state import open_state
from tests.helpers.repos import NOW, DebPackage, add, write_repository


def test_a_package_comes_back_as_it_went_in(repository: Repository, tmp_path: Path) -> None:
    (added,) = add(repository, DebPackage(version="1:1.0~rc1-1").write(tmp_path))
    state = repository.state
    package = added.package
    assert state.by_sha256(package.sha256) == package
    assert state.at(package.pool) == package
    assert state.find(PackageFormat.DEB, "tool") == [package]
    assert state.find(PackageFormat.DEB, "tool", "1:1.0~rc1-1", "arm64") == []
    assert state.find(PackageFormat.RPM, "tool") == []
    facts = FileFacts(sha256=package.sha256, size=package.size)
    assert dict(state.missing(LOCAL)) == {package.pool: facts}
    with pytest.raises(RepoError, match="has no package with sha256 00"):
        state.listing("00")


def test_a_package_that_is_forgotten_leaves_nothing(repository: Repository, tmp_path: Path) -> None:
    (added,) = add(repository, DebPackage().write(tmp_path))
    repository.state.forget([added.package.sha256])
    assert list(repository.state.everything()) == []
    assert repository.state.channels() == []
    with pytest.raises(RepoError):
        repository.state.listing(added.package.sha256)


def test_a_transaction_is_all_or_nothing(repository: Repository, tmp_path: Path) -> None:
    (added,) = add(repository, DebPackage().write(tmp_path))
    state = repository.state
    other = replace(added.package, sha256="11", pool=PurePosixPath("pool/x"), name="x")

    def add_twice() -> None:
        with state.transaction():
            state.add(other, b"", "11")
            state.add(replace(other, sha256="22"), b"", "22")  # the same version again

    with pytest.raises(sqlite3.IntegrityError):
        add_twice()
    assert list(state.everything()) == [added.package]


def test_what_was_published_is_kept_by_target(repository: Repository) -> None:
    state = repository.state
    path, facts = PurePosixPath("dists/stable/InRelease"), FileFacts(sha256="aa", size=1)
    state.record_put("web", [(path, facts)])
    state.record_retired("web", [path], NOW)
    state.record_retired("web", [path], NOW + timedelta(hours=1))  # the first time counts
    assert dict(state.published("web"))[path].retired == NOW
    assert list(state.published("local")) == []
    state.record_put("web", [(path, facts)])
    assert dict(state.published("web"))[path].retired is None
    state.record_deleted("web", [path])
    assert list(state.published("web")) == []


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    root = write_repository(tmp_path / "repo")

    def fill() -> None:
        with open_state(root) as state:
            (pages,) = state._db.execute("PRAGMA page_count").fetchone()
            state._db.execute(f"PRAGMA max_page_count = {pages}")
            facts = FileFacts(sha256="aa", size=1)
            files = ((PurePosixPath(f"pool/{number:0300}"), facts) for number in range(1000))
            state.record_put("web", files)

    with pytest.raises(StorageError, match=r"no space left on the disk of .*repo\.sqlite") as error:
        fill()
    assert "TMPDIR" in (error.value.hint or "")
    with open_state(root) as state:
        assert list(state.published("web")) == []


def test_a_state_of_a_newer_builder_is_left_alone(tmp_path: Path) -> None:
    root = write_repository(tmp_path / "repo")
    with sqlite3.connect(root / ".state" / "repo.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with (
        pytest.raises(RepoError, match=r"has format 99; this builder knows \d"),
        open_state(root),
    ):
        pass
