"""Locks in the form of PEP 751: read by the reference reader, installed by uv."""

import sys
from pathlib import Path

import pytest

from builder.base.errors import ToolError
from builder.base.run import run
from builder.index.uv import uv_path
from builder.lock.pylock import pylock_name, render_pylock
from tests.helpers.wheelhouse import Recipe
from tests.unit.lock.locks import distribution, lock_of


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
