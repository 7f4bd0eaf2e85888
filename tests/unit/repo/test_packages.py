"""Packages of the state are read a few at a time, and are the same as if they were held."""

import itertools
from pathlib import PurePosixPath

import pytest

from builder.base.model import Arch, PackageFormat
from builder.repo import state_packages
from builder.repo.core import Repository
from builder.repo.model import DebRecord, FileFacts, RepoPackage, RpmRecord
from builder.repo.packages import HeldPackages, Packages, split_packages
from builder.repo.publication import Published
from builder.repo.state import State
from tests.helpers.repos import NOW

_ARCHS = {PackageFormat.DEB: ("amd64", "arm64", "all"), PackageFormat.RPM: ("x86_64", "noarch")}


@pytest.fixture
def filled(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Packages of each format, two components and three names, in two channels."""
    monkeypatch.setattr(state_packages, "_TOGETHER", 3)
    names, numbers = ("tool", "lib", "tool-more"), range(4)
    with repository.state.transaction():
        for fmt, name, number in itertools.product(PackageFormat, names, numbers):
            for arch in _ARCHS[fmt]:
                package = _package(fmt, name, f"1.{number}-1", arch)
                repository.state.add(package, b"", package.sha256)
                channels = ("stable", "testing") if number % 2 else ("stable",)
                for channel in channels:
                    repository.state.join(channel, [package.sha256])
    return repository


def _package(fmt: PackageFormat, name: str, version: str, arch: str) -> RepoPackage:
    file = f"{name}_{version}_{arch}.{fmt}"
    record = (
        DebRecord(control=file) if fmt is PackageFormat.DEB else RpmRecord(primary="", other="")
    )
    return RepoPackage(
        name=name,
        version=version,
        arch=arch,
        component="extra" if name == "lib" else "main",
        file=file,
        pool=PurePosixPath(f"pool/{file}"),
        sha256=f"{sum(map(ord, file)) * 2654435761 % 2**32:08x}{file}",
        size=1,
        added=NOW,
        record=record,
    )


def _is_tested(state: State, package: RepoPackage) -> bool:
    return "testing" in state.channels_of(package.sha256)


def test_every_choice_has_the_same_packages_in_the_same_order(filled: Repository) -> None:
    state = filled.state
    ordered = sorted(state.everything(), key=lambda p: (p.fmt, p.name, p.version, p.arch))
    pairs: list[tuple[Packages, Packages]] = [
        (state.everything(), HeldPackages(ordered)),
        (state.select("testing"), HeldPackages([p for p in ordered if _is_tested(state, p)])),
        (state.select("none"), HeldPackages()),
    ]
    assert len(state.everything()) == 60
    for stored, held in pairs:
        for fmt in (None, *PackageFormat):
            for name in (None, "tool", "absent"):
                for component, arch in (
                    (None, None),
                    ("main", Arch("amd64")),
                    (None, Arch("arm64")),
                ):
                    chosen = [
                        packages.where(fmt=fmt, name=name, component=component, arch=arch)
                        for packages in (stored, held)
                    ]
                    found, expected = map(list, chosen)
                    assert found == expected
                    assert len(chosen[0]) == len(expected)
                    assert chosen[0].names() == chosen[1].names()
    assert list(state.select("stable", "testing")) == ordered


@pytest.mark.parametrize("mean", [1, 2, 5, 100])
def test_a_run_is_read_again_as_it_was(filled: Repository, mean: int) -> None:
    stored = filled.state.select("stable").where(fmt=PackageFormat.DEB, arch=Arch("amd64"))
    found: list[RepoPackage] = []
    for run in split_packages(stored, mean):
        assert run.at == len(found)
        for _ in range(2):
            assert tuple(run.again) == run.packages
        found += run.packages
    assert found == list(stored)
    assert len(found) == 24


def test_packages_may_be_changed_while_they_are_read(filled: Repository) -> None:
    seen = []
    for package in filled.state.select("stable"):
        filled.state.leave("stable", [package.sha256])
        seen.append(package.label)
    assert len(set(seen)) == 60
    assert len(filled.state.select("stable")) == 0


def test_versions_come_newest_first_of_each_package(repository: Repository) -> None:
    numbers = ("1.9-1", "1.10-1", "1.10~rc1-1", "1.010-1")
    with repository.state.transaction():
        for arch, version in itertools.product(("arm64", "amd64"), numbers):
            package = _package(PackageFormat.DEB, "tool", version, arch)
            repository.state.add(package, b"", package.sha256)
    found = [
        [f"{package.arch} {package.version}" for package in versions]
        for versions in repository.state.everything().newest_first()
    ]
    # Of two that are equal the one that sorts first as text.
    order = ("1.010-1", "1.10-1", "1.10~rc1-1", "1.9-1")
    assert found == [[f"{arch} {v}" for v in order] for arch in ("amd64", "arm64")]


def test_channels_are_compared_and_copied_without_reading_them(filled: Repository) -> None:
    state = filled.state
    assert not state.has_same_members("stable", "testing")
    assert not state.has_same_members("testing", "stable")
    assert state.has_same_members("absent", "none")
    with state.transaction():
        state.join_all("testing", "stable")
    assert state.has_same_members("stable", "testing")


def test_files_that_are_not_listed_are_found(filled: Repository) -> None:
    state, folder = filled.state, PurePosixPath("changelogs")
    paths = [folder / f"{number:04}" for number in range(2500)]
    facts = FileFacts(sha256="00", size=1)
    state.record_put("local", dict.fromkeys([*paths, PurePosixPath("index.html")], facts).items())
    for needed, rest in ((paths[1:], paths[0]), (paths[:-1], paths[-1])):
        state.list_needed(iter(needed))
        assert [path for path, _ in state.unlisted("local", folder)] == [rest]
    assert set(dict(state.published("local", without=(folder,)))) == {PurePosixPath("index.html")}
    state.record_retired("local", paths[:1], NOW)
    assert set(dict(state.published("local", without=(folder,)))) == {PurePosixPath("index.html")}
    assert list(state.retired("local", folder)) == [(paths[0], Published(facts=facts, retired=NOW))]
    published = state.published_at("local", paths[0])
    assert published is not None
    assert published.retired == NOW
    assert state.published_at("local", folder) is None
