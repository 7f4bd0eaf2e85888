"""Locks in the form of PEP 751: read by the reference reader, installed by uv."""

import sys
import tomllib
from pathlib import Path

import pytest
from packaging.pylock import Pylock

from builder.base.errors import ToolError
from builder.base.files import hash_file
from builder.base.model import Arch
from builder.base.paths import PKGSPEC
from builder.base.run import run
from builder.index.uv import uv_path
from builder.lock import Lock, load_lock
from builder.lock.file import LockedDistribution, LockedFile
from builder.lock.pylock import pylock_name, render_pylock
from tests.helpers.wheelhouse import Recipe

MINOR = f"3.{sys.version_info.minor}"


def lock_of(*wheels: LockedDistribution) -> Lock:
    return Lock.model_validate(
        {
            "release": "26.9",
            "version": "26.9.6",
            "package": "backendai-example",
            "python": MINOR,
            "requires-python": f">={MINOR}",
            "glibc": "2.28",
            "inputs": "ab" * 32,
            "wheel": wheels,
        }
    )


def distribution(path: Path, name: str, arch: Arch | None = None) -> LockedDistribution:
    file = LockedFile(file=path.name, sha256=hash_file(path), size=path.stat().st_size, arch=arch)
    return LockedDistribution(name=name, version="1.0", files=(file,))


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


def test_uv_installs_from_it_and_checks_the_hashes(tmp_path: Path) -> None:
    try:
        uv = uv_path()
    except ToolError:
        pytest.skip("needs uv")
    (tmp_path / "wheels").mkdir()
    path = Recipe(name="own").write(tmp_path / "wheels")
    lock = lock_of(distribution(path, "own"))
    file = tmp_path / pylock_name(lock)
    file.write_text(render_pylock(lock), encoding="utf-8")
    command: list[str] = [
        *[str(uv), "pip", "install", "--no-config", "--offline", "--python", sys.executable],
        *["--target", str(tmp_path / "site"), "--requirements", str(file)],
    ]
    environment = {"UV_CACHE_DIR": str(tmp_path / "cache")}
    run(command, env=environment)
    assert (tmp_path / "site/own.py").read_text() == "VERSION = '1.0'\n"
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(ToolError, match="own"):
        run([*command, "--reinstall"], env={"UV_CACHE_DIR": str(tmp_path / "other")})
