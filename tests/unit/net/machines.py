"""Machines with a local cache and a shared one."""

import os
from pathlib import Path

from builder.base.cache import Cache
from builder.net.remote_cache import RemoteCache
from builder.net.remote_stores import FolderStore

SECRET = b"k" * 32


def over_folder(tmp_path: Path, name: str, **settings: object) -> Cache:
    folder = tmp_path / "shared"
    folder.mkdir(exist_ok=True)
    given: dict[str, object] = {"secret": SECRET, **settings}
    return Cache(
        root=tmp_path / name,
        remote=RemoteCache(store=FolderStore(root=folder), **given),  # type: ignore[arg-type]
    )


def counts(cache: Cache) -> dict[str, int]:
    assert isinstance(cache.remote, RemoteCache)
    return dict(cache.remote.counts)


def fill(folder: Path) -> None:
    """Make a tree as stages have them."""
    program = folder / "bin" / "tool"
    program.parent.mkdir(mode=0o755)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (folder / "empty").mkdir(mode=0o755)
    text = folder / "text"
    text.write_text("text")
    text.chmod(0o644)
    for path in (program, text):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (folder / "inner").symlink_to("bin/tool")
    (folder / "python3.13").symlink_to("/opt/backendai/runtime/bin/python3.13")
    (folder / "python3").symlink_to("python3.13")


def fail(_folder: Path) -> None:
    raise AssertionError("made again, though the remote cache has it")
