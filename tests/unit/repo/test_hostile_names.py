"""What a package calls itself, or its file is called, is not where it is written."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pytest

from builder.base.errors import PayloadError, RepoError, UsageError
from builder.pack.manifest import load_manifest
from builder.repo.core import Repository
from builder.repo.model import FileFacts, check_place
from builder.repo.publication import plan_publication
from builder.repo.publish.folder import FolderPublisher
from tests.helpers.repos import NOW, DebPackage, add, write_rpm

FACTS = FileFacts(sha256="0" * 64, size=1)
OUTSIDE = ["../x", "a/../../x", "/etc/x", "pool/..", ""]


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_two_files_of_one_name_are_two_packages(repository: Repository, tmp_path: Path) -> None:
    paths = []
    for number, version in enumerate(("1.0-1", "2.0-1", "1:1.0-1")):
        made = DebPackage(version=version).write(tmp_path / str(number))
        paths.append(made.rename(made.with_name("app.deb")))
    added = [add(repository, path)[0].package for path in paths]
    assert [str(package.pool) for package in added] == [
        "pool/main/t/tool/tool_1.0-1_amd64.deb",
        "pool/main/t/tool/tool_2.0-1_amd64.deb",
        "pool/main/t/tool/epoch-1/tool_1.0-1_amd64.deb",
    ]
    for package in added:
        assert (repository.public / package.pool).stat().st_size == package.size


def test_two_rpms_of_one_name_are_two_packages(repository: Repository, tmp_path: Path) -> None:
    paths = []
    for version in ("1.0", "2.0"):
        made = write_rpm(tmp_path / version, version=version)
        paths.append(made.rename(made.with_name("app.rpm")))
    added = add(repository, *paths)
    assert [package.package.file for package in added] == [
        "tool-1.0-1.x86_64.rpm",
        "tool-2.0-1.x86_64.rpm",
    ]


@pytest.mark.parametrize(
    "package",
    [
        DebPackage(name="../../../../../pwn"),
        DebPackage(name="a/b"),
        DebPackage(version="1.0/../../x"),
        DebPackage(version="1.0 2"),
        DebPackage(arch="../amd64"),
        DebPackage(arch="x86_64"),
        DebPackage(arch="noarch"),
        DebPackage(arch="aarch64"),
    ],
)
def test_a_package_that_is_called_like_a_path_writes_nothing(
    repository: Repository, tmp_path: Path, package: DebPackage
) -> None:
    given = tmp_path / "given" / "app.deb"
    given.parent.mkdir()
    deep = tmp_path / "scratch" / "a" / "b" / "c" / "d" / "e" / "f"
    replace(package, paths=("/usr/bin/x",)).write(deep).rename(given)
    before = everything(tmp_path)
    with pytest.raises((PayloadError, RepoError)) as caught:
        add(repository, DebPackage(name="good").write(tmp_path / "given"), given)
    assert str(given) in caught.value.message
    assert everything(tmp_path) - before == {"given/good_1.0-1_amd64.deb"}
    assert list(repository.state.everything()) == []


def test_a_place_that_an_older_file_name_took_is_not_overwritten(
    repository: Repository, tmp_path: Path
) -> None:
    (old,) = add(repository, DebPackage(version="1.0-1").write(tmp_path))
    place = "pool/main/t/tool/tool_2.0-1_amd64.deb"
    repository.state._db.execute("UPDATE package SET pool = ?", (place,))
    content = (repository.public / old.package.pool).read_bytes()
    (repository.public / place).write_bytes(content)
    with pytest.raises(RepoError, match=r"is taken by tool 1\.0-1"):
        add(repository, DebPackage(version="2.0-1").write(tmp_path))
    assert (repository.public / place).read_bytes() == content


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_publisher_writes_or_deletes_outside_its_root(tmp_path: Path, path: str) -> None:
    root, source = tmp_path / "root", tmp_path / "source"
    source.write_bytes(b"x")
    victim = tmp_path / "x"
    victim.write_text("mine")
    publisher = FolderPublisher(root)
    with pytest.raises(RepoError, match="no place in a published tree"):
        publisher.put(PurePosixPath(path), source, FACTS)
    with pytest.raises(RepoError, match="no place in a published tree"):
        publisher.delete([PurePosixPath(path)])
    with pytest.raises(RepoError, match="no place in a published tree"):
        plan_publication({PurePosixPath(path): FACTS}, {}, NOW, timedelta(hours=1))
    assert victim.read_text() == "mine"


def test_a_place_is_below_the_root() -> None:
    assert check_place(PurePosixPath("pool/main/..a/b")) == PurePosixPath("pool/main/..a/b")


@pytest.mark.parametrize("name", ["../app.deb", "/etc/app.deb", "a/b.deb", "", "..", 7, None])
def test_a_manifest_names_files_beside_it(tmp_path: Path, name: object) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"packages": [{"file": name}]}))
    with pytest.raises(UsageError, match="which is no file beside it"):
        load_manifest(tmp_path)
