"""Locks in the form of PEP 751: read by the reference reader, installed by uv."""

import tomllib
from pathlib import Path

import pytest
from packaging.pylock import Pylock

from builder.base.model import Arch
from builder.base.paths import PKGSPEC
from builder.lock import load_lock
from builder.lock.pylock import pylock_name, render_pylock
from tests.helpers.wheelhouse import Recipe
from tests.unit.lock.locks import distribution, lock_of


@pytest.mark.parametrize(
    "path", sorted((PKGSPEC / "locks/26.9").glob("*.toml")), ids=lambda path: path.stem
)
def test_every_lock_of_the_release_is_valid_by_the_reference_reader(path: Path) -> None:
    lock = load_lock(PKGSPEC, "26.9", path.stem)
    parsed = Pylock.from_dict(tomllib.loads(render_pylock(lock)))
    assert [package.name for package in parsed.packages] == sorted(d.name for d in lock.wheel)
    hashes = {
        file.hashes["sha256"]
        for package in parsed.packages
        for file in (*(package.wheels or ()), *([package.sdist] if package.sdist else ()))
    }
    assert hashes == {file.sha256 for found in lock.wheel for file in found.files}


def test_the_name_is_one_that_the_specification_allows() -> None:
    assert pylock_name(lock_of()) == "pylock.26-9-backendai-example.toml"


def test_what_only_one_architecture_installs_has_a_marker(tmp_path: Path) -> None:
    path = Recipe(name="own").write(tmp_path)
    text = render_pylock(lock_of(distribution(path, "own", Arch.ARM64)))
    (package,) = tomllib.loads(text)["packages"]
    assert package["marker"] == "platform_machine == 'aarch64'"
